"""Trained codecs as StableHLO: functions that run where jaxcorr is not installed.

Every network of a codec becomes a file of `jax.export`, with its parameters inside and
with symbols for the number and the size of images. The README beside them says how they
are chained, in code that a test runs.
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

from jaxcorr import files, saved_model
from jaxcorr.errors import UserError
from jaxcorr.interop import exported_functions
from jaxcorr.interop.exported_functions import ExportedFunction
from jaxcorr.saved_model import TABLES, Model

FORMAT = "stablehlo-1"
"""What the config of an export has where that of a model has a number."""
SUFFIX = ".jaxexport"
README = "README.md"
CODING = "float64"
"""Folder of what coding computes in float64."""
PLATFORMS = ("cpu", "cuda", "tpu")
CODING_PLATFORMS = ("cpu", "cuda")
"""TPUs have no float64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """A file of an export.

    Attributes:
      name: Its name in the folder, without its suffix.
      network: The function in it.
      inputs: Type and shape of each input by its name, such as `float32[b,4*h,4*w,8]`.
      outputs: The same of each output.
      platforms: What it runs on.
      size: Bytes of the file.
      seconds: Taken to trace and to write it.
      conventions: Versions of the calling convention and of StableHLO.
    """

    name: str
    network: ExportedFunction
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    platforms: tuple[str, ...]
    size: int
    seconds: float
    conventions: tuple[int, str]


def write_export(path: Path, model: Model) -> list[ExportRecord]:
    """Writes the folder of an export, whole or not at all; an older one is replaced.

    Args:
      path: The folder.
      model: What to export.

    Raises:
      UserError: If the folder cannot be written.
    """
    with files.atomic_folder(Path(path)) as folder, _without_source_locations():
        write = functools.partial(_write_network, folder)
        written = [
            write(name, network, jnp.float32, PLATFORMS)
            for name, network in exported_functions.evaluation_networks(model).items()
        ]
        (folder / CODING).mkdir()
        with jax.enable_x64(True):
            written += [
                write(f"{CODING}/{name}", network, jnp.float64, CODING_PLATFORMS)
                for name, network in exported_functions.coding_networks(model).items()
            ]
        np.savez_compressed(folder / TABLES, **model.table_arrays())
        saved_model.write_config(folder, _config(model, written))
        (folder / README).write_text(_readme(model, written))
    return written


def check_target(path: Path, *, force: bool) -> None:
    """Refuses, before any work, to replace anything but an older export.

    Raises:
      UserError: If there is something else, or an export and not `force`.
    """
    files.check_file(path / README)
    try:
        is_export = saved_model.read_config(path).get("format") == FORMAT
    except UserError:
        is_export = False
    files.check_folder(path, "an export", is_kind=is_export, force=force)


def _write_network(
    folder: Path,
    name: str,
    network: ExportedFunction,
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
        for shape in network.inputs.values()
    ]
    exported = export.export(jax.jit(network.function), platforms=platforms)(*inputs)
    data = exported.serialize()
    (folder / f"{name}{SUFFIX}").write_bytes(data)
    found = re.search(rb"StableHLO_v([\d.]+)", exported.mlir_module_serialized)
    named = lambda names, avals: dict(zip(names, map(str, avals), strict=True))
    return ExportRecord(
        name=name,
        network=network,
        inputs=named(network.inputs, exported.in_avals),
        outputs=named(network.outputs, exported.out_avals),
        platforms=platforms,
        size=len(data),
        seconds=time.perf_counter() - start,
        conventions=(
            exported.calling_convention_version,
            found[1].decode() if found else "unknown",
        ),
    )


@contextlib.contextmanager
def _without_source_locations() -> Iterator[None]:
    """Keeps the paths of this machine out of programs, which JAX notes in them."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _config(model: Model, written: list[ExportRecord]) -> dict[str, Any]:
    """What `config.json` says of a model, and of the functions exported from it."""
    functions = {
        each.name: {
            "inputs": dict(each.inputs),
            "outputs": dict(each.outputs),
            "platforms": list(each.platforms),
        }
        for each in written
    }
    convention, stablehlo = written[0].conventions
    return (
        {"format": FORMAT}
        | saved_model.describe(model)
        | {
            "export": {
                "jax": jax.__version__,
                "calling_convention_version": convention,
                "stablehlo": stablehlo,
                "functions": functions,
                "passes": exported_functions.described_passes(model),
            }
        }
    )


def _readme(model: Model, written: list[ExportRecord]) -> str:
    """The page that says what is in the folder and how to use it."""
    arrays = lambda named: "<br>".join(f"`{k}` `{v}`" for k, v in named.items())
    lines = [
        f"| `{each.name}` | {arrays(each.inputs)} | {arrays(each.outputs)} "
        f"| {each.network.meaning} |"
        for each in written
    ]
    convention, stablehlo = written[0].conventions
    template = Path(__file__).with_name("stablehlo.md").read_text()
    return string.Template(template).substitute(
        fingerprint=model.fingerprint.hex(),
        functions="\n".join(lines),
        jax=jax.__version__,
        convention=convention,
        stablehlo=stablehlo,
    )
