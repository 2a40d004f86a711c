"""Folders of exported functions: one file a function, a README, and a description."""

import dataclasses
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxcorr import files, saved_model
from jaxcorr.errors import UserError
from jaxcorr.interop import exported_functions
from jaxcorr.interop.exported_functions import ExportedFunction
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath

README = "README.md"
FORMATS = {"stablehlo": "stablehlo-1", "onnx": "onnx-1"}
"""Entry `format` of `config.json` in each kind of export; a model folder has a
number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """A file of an export.

    Attributes:
      name: Name of the file in the folder, without its suffix.
      function: The function in the file.
      inputs: Type and shape of each input by its name, such as `float32[b,4*h,4*w,8]`.
      outputs: Type and shape of each output by its name.
      platforms: Platforms that the function runs on; empty if the format names none.
      size: Size of the file, in bytes.
      seconds: Time taken to trace the function and to write the file.
    """

    name: str
    function: ExportedFunction
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    platforms: tuple[str, ...] = ()
    size: int
    seconds: float


def check_target(path: AnyPath, *, force: bool) -> None:
    """Checks, before any work, that writing an export replaces nothing else.

    Args:
      path: Folder of the export.
      force: Whether to replace an older export, of any format.

    Raises:
      UserError: If the folder is something else, or an older export without `force`.
    """
    files.check_file(path / README)
    try:
        is_export = saved_model.read_config(path).get("format") in FORMATS.values()
    except UserError:
        is_export = False
    files.check_folder(path, "an export", is_kind=is_export, force=force)


def describe(
    folder: AnyPath,
    model: Model,
    records: Sequence[ExportRecord],
    *,
    kind: str,
    versions: Mapping[str, Any],
) -> None:
    """Writes what belongs to the functions: tables, `config.json` and README.

    Args:
      folder: Folder with the files of the functions.
      model: The exported model.
      records: The files.
      kind: Format, which also names the template of the README.
      versions: Versions and other facts for `config.json` and the README.
    """
    saved_model.write_tables(folder, model)
    functions = {
        record.name: {"inputs": dict(record.inputs), "outputs": dict(record.outputs)}
        | ({"platforms": list(record.platforms)} if record.platforms else {})
        for record in records
    }
    versions = {"jax": jax.__version__} | dict(versions)
    export = versions | {
        "functions": functions,
        "passes": exported_functions.describe_passes(model),
    }
    config = {"format": FORMATS[kind]} | saved_model.describe(model)
    saved_model.write_config(folder, config | {"export": export})
    template = Path(__file__).with_name(f"{kind}.md").read_text()
    readme = string.Template(template).substitute(
        versions, fingerprint=model.fingerprint.hex(), functions=_table(records)
    )
    (folder / README).write_text(readme)


def _table(records: Sequence[ExportRecord]) -> str:
    """Returns the rows of a table of functions."""

    def cell(arrays: Mapping[str, str]) -> str:
        return "<br>".join(f"`{name}` `{shape}`" for name, shape in arrays.items())

    return "\n".join(
        f"| `{record.name}` | {cell(record.inputs)} | {cell(record.outputs)} "
        f"| {record.function.meaning} |"
        for record in records
    )
