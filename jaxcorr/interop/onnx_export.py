"""Exports of trained codecs as ONNX, which ONNX Runtime and others run without JAX.

The package jax2onnx converts each function to one file, which contains its parameters.
The functions are those of the networks; the README of an export chains them, in code
that a test runs. Layers with several implementations take the one of CPUs and GPUs.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from jaxcorr import files
from jaxcorr.errors import UserError
from jaxcorr.extras import needs_extra
from jaxcorr.interop import export_folder, exported_functions
from jaxcorr.interop.export_folder import ExportRecord
from jaxcorr.interop.exported_functions import ExportedFunction
from jaxcorr.layers import implementations
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath
from jaxcorr.saved_model import CONFIG
from jaxcorr.transforms.base import SIDE_STRIDE
from jaxcorr.transforms.swin import Swin

SUFFIX = ".onnx"
OPSET = 20
"""Version of the operators: the earliest with the GELU of Swin transformers."""
NOT_EXPORTED = "context", "latent_bits"
"""Functions that jax2onnx cannot convert, and that the README of an export replaces."""

Size = tuple[int, int]
"""Height and width of padded images, in pixels."""


def write_export(
    path: AnyPath, model: Model, *, size: Size | None
) -> list[ExportRecord]:
    """Writes the folder of an export atomically, and replaces an older export.

    Args:
      path: The folder.
      model: The model to export.
      size: The only size of images of the export, in multiples of 64 pixels; None for
        any size. The number of images is free in either case.

    Raises:
      UserError: If jax2onnx is not installed or cannot convert a function, the model
        needs a size, the size is not a multiple of 64, or the folder cannot be written.
    """
    check_size(model, size)
    with _quiet():
        with needs_extra("onnx", "the ONNX export"):
            import jax2onnx  # pyright: ignore[reportMissingImports]  # An extra.
        with files.atomic_folder(path, last=CONFIG) as folder:
            records = [
                _write_function(folder, name, function, model, size, jax2onnx.to_onnx)
                for name, function in _functions(model).items()
            ]
            versions = {
                "jax2onnx": metadata.version("jax2onnx"),
                "opset": OPSET,
                "size": None if size is None else list(size),
            }
            export_folder.describe(
                folder, model, records, kind="onnx", versions=versions
            )
    return records


def check_size(model: Model, size: Size | None) -> None:
    """Checks, before any work, that a model can be exported for a size of images.

    Args:
      model: The model to export.
      size: Height and width in pixels; None for any size.

    Raises:
      UserError: If the model needs a size, or the size is not positive multiples of 64.
    """
    if size is None and isinstance(model.config.transforms, Swin):
        raise UserError(
            "the windows of Swin transforms need a size of images in ONNX, but none is "
            "given: give --size HEIGHT WIDTH"
        )
    if size is not None and any(side < 1 or side % SIDE_STRIDE for side in size):
        raise UserError(
            f"--size must be multiples of {SIDE_STRIDE}, to which images are padded, "
            f"but is {size[0]} {size[1]}"
        )


def _functions(model: Model) -> dict[str, ExportedFunction]:
    """Returns the functions to export, in order of use."""
    functions = exported_functions.evaluation_functions(model)
    functions |= exported_functions.coding_functions(model)
    synthesis = functions.pop("synthesis")
    for name in NOT_EXPORTED:
        del functions[name]
    return functions | {"synthesis": synthesis}


def _write_function(
    folder: AnyPath,
    name: str,
    function: ExportedFunction,
    model: Model,
    size: Size | None,
    to_onnx: Callable[..., Any],
) -> ExportRecord:
    """Exports a function to a file."""
    start = time.perf_counter()
    with implementations.forced(implementations.DEFAULT):
        inputs = _inputs(function, lambda shape: _sized(shape, size))
        outputs = jax.tree.leaves(jax.eval_shape(function.function, *inputs))
        try:
            proto = to_onnx(
                function.function,
                inputs=_inputs(
                    function, lambda shape: _simplified(_sized(shape, size))
                ),
                model_name=name,
                opset=OPSET,
                input_names=list(function.inputs),
                output_names=list(function.outputs),
            )
        except Exception as error:  # Of many kinds, where an operator is missing.
            first_line = str(error).strip().partition("\n")[0]
            raise UserError(
                f"jax2onnx {metadata.version('jax2onnx')} cannot convert {name} with "
                f"jax {jax.__version__}: {type(error).__name__}: {first_line}"
            ) from error
    proto.producer_name = "jaxcorr"
    proto.producer_version = metadata.version("jaxcorr")
    proto.doc_string = function.meaning
    for key, value in {"model": model.fingerprint.hex(), "function": name}.items():
        proto.metadata_props.add(key=key, value=value)
    _name_axes(proto.graph, inputs, outputs)
    data = proto.SerializeToString(deterministic=True)
    (folder / f"{name}{SUFFIX}").write_bytes(data)
    return ExportRecord(
        name=name,
        function=function,
        inputs=dict(zip(function.inputs, map(_type, inputs), strict=True)),
        outputs=dict(zip(function.outputs, map(_type, outputs), strict=True)),
        size=len(data),
        seconds=time.perf_counter() - start,
    )


def _inputs(
    function: ExportedFunction, rewrite: Callable[[str], str]
) -> list[jax.ShapeDtypeStruct]:
    """Returns the inputs of a function, after a rewriting of their shapes."""
    scope = export.SymbolicScope()
    return [
        jax.ShapeDtypeStruct(
            export.symbolic_shape(rewrite(shape), scope=scope), jnp.float32
        )
        for shape in function.inputs.values()
    ]


def _sized(shape: str, size: Size | None) -> str:
    """Returns a shape with numbers for the sides of images of a size, if given."""
    for symbol, side in zip("hw", size or (), strict=False):
        pattern = rf"(?:(\d+)\*)?\b{symbol}\b"
        elements = side // SIDE_STRIDE
        shape = re.sub(pattern, lambda x, n=elements: str(int(x[1] or 1) * n), shape)
    return shape


def _simplified(shape: str) -> str:
    """Returns a shape with latents of h x w instead of 4*h x 4*w.

    In reshapes jax2onnx finds a size only if it is itself an axis of an input. The
    sides of images stay 64*h and 64*w, since no layer of a transform of free size
    reshapes them.
    """
    return re.sub(r"\b4\*", "", shape)


def _type(array: jax.ShapeDtypeStruct) -> str:
    """Returns type and shape of an input or output, such as `float32[b,h,w,8]`."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _name_axes(
    graph: Any,
    inputs: Sequence[jax.ShapeDtypeStruct],
    outputs: Sequence[jax.ShapeDtypeStruct],
) -> None:
    """Names the free sizes of a graph as all functions of an export name them."""
    del graph.value_info[:]  # Shapes of intermediate arrays, by other names.
    for values, arrays in ((graph.input, inputs), (graph.output, outputs)):
        for value, array in zip(values, arrays, strict=True):
            axes = value.type.tensor_type.shape.dim
            for axis, side in zip(axes, array.shape, strict=True):
                if isinstance(side, int):
                    axis.dim_value = side
                else:
                    axis.dim_param = str(side)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences jax2onnx, which logs what it cannot convert and we do not need."""
    names = "jax2onnx", "onnx_ir"
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
