"""Exports of trained codecs as StableHLO, which runs where jaxcorr is not installed.

Each function of a codec is serialized by `jax.export` to one file, which contains its
parameters. Batch size, height and width of the images are symbolic. The README of an
export shows how to chain the functions, in code that a test runs.
"""

import contextlib
import functools
import re
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from jaxcorr import compatibility, files
from jaxcorr.interop import export_folder, exported_functions
from jaxcorr.interop.export_folder import ExportRecord
from jaxcorr.interop.exported_functions import ExportedFunction
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath
from jaxcorr.saved_model import CONFIG

SUFFIX = ".jaxexport"
CODING = "float64"
"""Folder of the functions for encoding and decoding, which compute in float64."""
PLATFORMS = ("cpu", "cuda", "tpu")
CODING_PLATFORMS = ("cpu", "cuda")
"""Platforms that support float64."""


def write_export(path: AnyPath, model: Model) -> list[ExportRecord]:
    """Writes the folder of an export atomically, and replaces an older export.

    Args:
      path: The folder.
      model: The model to export.

    Raises:
      UserError: If the folder cannot be written.
    """
    with files.atomic_folder(path, last=CONFIG) as folder, _without_source_locations():
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
        export_folder.describe(
            folder, model, records, kind="stablehlo", versions=_versions(folder)
        )
    return records


def _write_function(
    folder: AnyPath,
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
    return ExportRecord(
        name=name,
        function=function,
        inputs=dict(zip(function.inputs, map(str, exported.in_avals), strict=True)),
        outputs=dict(zip(function.outputs, map(str, exported.out_avals), strict=True)),
        platforms=platforms,
        size=len(data),
        seconds=time.perf_counter() - start,
    )


def _versions(folder: AnyPath) -> dict[str, Any]:
    """Returns the versions of the calling convention and of StableHLO of an export."""
    data = (folder / f"synthesis{SUFFIX}").read_bytes()
    exported = export.deserialize(bytearray(data))
    version = re.search(rb"StableHLO_v([\d.]+)", exported.mlir_module_serialized)
    return {
        "calling_convention_version": exported.calling_convention_version,
        "stablehlo": version[1].decode() if version else "unknown",
    }


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
