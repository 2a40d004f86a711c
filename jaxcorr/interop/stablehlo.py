"""Exports of trained codecs as StableHLO, which runs where jaxcorr is not installed.

Each function of a codec is serialized by `jax.export` to one file, which contains its
parameters. Batch size, height and width of the images are symbolic. The README of an
export shows how to chain the functions, in code that a test runs.
"""

import contextlib
import dataclasses
import functools
import re
import string
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxcorr import compatibility, files, saved_model
from jaxcorr.errors import UserError
from jaxcorr.interop import exported_functions
from jaxcorr.interop.exported_functions import ExportedFunction
from jaxcorr.model import Model
from jaxcorr.saved_model import TABLES

FORMAT = "stablehlo-1"
"""Entry `format` of `config.json` in an export; a model folder has a number."""
SUFFIX = ".jaxexport"
README = "README.md"
CODING = "float64"
"""Folder of the functions for encoding and decoding, which compute in float64."""
PLATFORMS = ("cpu", "cuda", "tpu")
CODING_PLATFORMS = ("cpu", "cuda")
"""Platforms that support float64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """A file of an export.

    Attributes:
      name: Name of the file in the folder, without its suffix.
      function: The function in the file.
      inputs: Type and shape of each input by its name, such as `float32[b,4*h,4*w,8]`.
      outputs: Type and shape of each output by its name.
      platforms: Platforms that the function runs on.
      size: Size of the file, in bytes.
      seconds: Time taken to trace the function and to write the file.
      conventions: Versions of the calling convention and of StableHLO.
    """

    name: str
    function: ExportedFunction
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    platforms: tuple[str, ...]
    size: int
    seconds: float
    conventions: tuple[int, str]


def write_export(path: Path, model: Model) -> list[ExportRecord]:
    """Writes the folder of an export atomically, and replaces an older export.

    Args:
      path: The folder.
      model: The model to export.

    Raises:
      UserError: If the folder cannot be written.
    """
    with files.atomic_folder(Path(path)) as folder, _without_source_locations():
        write = functools.partial(_write_function, folder)
        records = [
            write(name, function, jnp.float32, PLATFORMS)
            for name, function in exported_functions.evaluation_functions(model).items()
        ]
        (folder / CODING).mkdir()
        with compatibility.enable_x64(True):
            records += [
                write(f"{CODING}/{name}", function, jnp.float64, CODING_PLATFORMS)
                for name, function in exported_functions.coding_functions(model).items()
            ]
        np.savez_compressed(folder / TABLES, **model.table_arrays())
        saved_model.write_config(folder, _config(model, records))
        (folder / README).write_text(_readme(model, records))
    return records


def check_target(path: Path, *, force: bool) -> None:
    """Checks, before any work, that writing an export replaces nothing else.

    Args:
      path: Folder of the export.
      force: Whether to replace an older export.

    Raises:
      UserError: If the folder is something else, or an older export without `force`.
    """
    files.check_file(path / README)
    try:
        is_export = saved_model.read_config(path).get("format") == FORMAT
    except UserError:
        is_export = False
    files.check_folder(path, "an export", is_kind=is_export, force=force)


def _write_function(
    folder: Path,
    name: str,
    function: ExportedFunction,
    dtype: Any,
    platforms: tuple[str, ...],
) -> ExportRecord:
    """Exports a function to a file."""
    start = time.perf_counter()
    scope = export.SymbolicScope()
    inputs = [
        jax.ShapeDtypeStruct(
            export.symbolic_shape(shape, scope=scope), dtype if shape else jnp.int32
        )
        for shape in function.inputs.values()
    ]
    exported = export.export(jax.jit(function.function), platforms=platforms)(*inputs)
    data = exported.serialize()
    (folder / f"{name}{SUFFIX}").write_bytes(data)
    version = re.search(rb"StableHLO_v([\d.]+)", exported.mlir_module_serialized)
    return ExportRecord(
        name=name,
        function=function,
        inputs=dict(zip(function.inputs, map(str, exported.in_avals), strict=True)),
        outputs=dict(zip(function.outputs, map(str, exported.out_avals), strict=True)),
        platforms=platforms,
        size=len(data),
        seconds=time.perf_counter() - start,
        conventions=(
            exported.calling_convention_version,
            version[1].decode() if version else "unknown",
        ),
    )


@contextlib.contextmanager
def _without_source_locations() -> Iterator[None]:
    """Keeps source paths out of programs, where JAX would record them."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _config(model: Model, records: list[ExportRecord]) -> dict[str, Any]:
    """Returns `config.json`: it describes the model and the exported functions."""
    functions = {
        record.name: {
            "inputs": dict(record.inputs),
            "outputs": dict(record.outputs),
            "platforms": list(record.platforms),
        }
        for record in records
    }
    convention, stablehlo = records[0].conventions
    return (
        {"format": FORMAT}
        | saved_model.describe(model)
        | {
            "export": {
                "jax": jax.__version__,
                "calling_convention_version": convention,
                "stablehlo": stablehlo,
                "functions": functions,
                "passes": exported_functions.describe_passes(model),
            }
        }
    )


def _readme(model: Model, records: list[ExportRecord]) -> str:
    """Returns the README of an export: what the folder holds and how to use it."""

    def cell(arrays: Mapping[str, str]) -> str:
        return "<br>".join(f"`{name}` `{shape}`" for name, shape in arrays.items())

    lines = [
        f"| `{record.name}` | {cell(record.inputs)} | {cell(record.outputs)} "
        f"| {record.function.meaning} |"
        for record in records
    ]
    convention, stablehlo = records[0].conventions
    template = Path(__file__).with_name("stablehlo.md").read_text()
    return string.Template(template).substitute(
        fingerprint=model.fingerprint.hex(),
        functions="\n".join(lines),
        jax=jax.__version__,
        convention=convention,
        stablehlo=stablehlo,
    )
