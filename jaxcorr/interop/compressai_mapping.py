"""Maps each parameter of a codec to a tensor of CompressAI, by name and layout.

The name of a tensor follows from the path to the parameter: the type of each module on
it says what CompressAI calls the parts of the module. The layout of the tensor follows
from the type of the layer.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float

from jaxcorr import compatibility
from jaxcorr.codec import Codec, CodecConfig, abstract_codec, structure
from jaxcorr.context.autoregressive import AutoregressiveContext
from jaxcorr.context.parameters import ParameterNetwork
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.layers import residual
from jaxcorr.layers.convolution import (
    Convolution,
    MaskedConvolution,
    Pointwise,
    Upsampling,
    tap_index,
)
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.subpixel import SubPixelUpsampling
from jaxcorr.parameters import Path, steps
from jaxcorr.transforms.base import Transforms

_NAMES: dict[type, dict[str, str]] = {
    Codec: {"transforms": "", "context": "", "prior": "entropy_bottleneck"},
    Transforms: {
        "analysis": "g_a",
        "synthesis": "g_s",
        "hyper_analysis": "h_a",
        "hyper_synthesis": "h_s",
    },
    FactorizedPrior: {"gates": "factors"},
    AutoregressiveContext: {
        "neighbors": "context_prediction",
        "network": "entropy_parameters",
    },
    ParameterNetwork: {"features": "0", "neighbors": "0", "middle": "2", "last": "4"},
    compatibility.Sequential: {"layers": ""},
    SubPixelUpsampling: {"convolution": "0"},
    residual.ResidualBlock: {"first": "conv1", "second": "conv2"},
    residual.ResidualDownsampling: {
        "first": "conv1",
        "second": "conv2",
        "normalization": "gdn",
    },
    residual.ResidualUpsampling: {
        "first": "subpel_conv",
        "second": "conv",
        "normalization": "igdn",
        "skip": "upsample",
    },
    residual.AttentionBlock: {"branch": "conv_a", "gate": "conv_b"},
    residual.Bottleneck: {"first": "conv.0", "second": "conv.2", "third": "conv.4"},
    GDN: {"beta_root": "beta", "gamma_root": "gamma"},
}
"""CompressAI's names of the parts of each module, where they differ from ours; empty
where CompressAI has no such level."""

_LAYOUTS: dict[tuple[type, str], tuple[str, str]] = {
    (Convolution, "kernel"): ("hwio", "oihw"),
    (MaskedConvolution, "kernel"): ("hwio", "oihw"),
    (Upsampling, "kernel"): ("hwio", "iohw"),
    (Pointwise, "kernel"): ("io", "oi11"),
    (GDN, "gamma_root"): ("io", "oi"),
    (FactorizedPrior, "matrices"): ("coi", "coi"),
    (FactorizedPrior, "biases"): ("co", "co1"),
    (FactorizedPrior, "gates"): ("co", "co1"),
}
"""Axes of the parameter and of the tensor: height, width, inputs, outputs, channels,
and 1 for an axis of length 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSource:
    """The tensor of CompressAI that holds the value of a parameter.

    Attributes:
      tensor: Name of the tensor in a state dict.
      shape: Shape of the tensor.
      layout: Axes of the parameter, then axes of the tensor.
      finish: Maps the tensor, with its axes in the order of the parameter, to the
        parameter.
    """

    tensor: str
    shape: tuple[int, ...]
    layout: tuple[str, str]
    finish: Callable[[np.ndarray], np.ndarray]

    def parameter(self, tensor: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Returns the parameter, given the tensor."""
        axes, tensor_axes = self.layout
        tensor_axes = tensor_axes.rstrip("1")
        array = tensor.reshape(tensor.shape[: len(tensor_axes)])
        return self.finish(array.transpose([tensor_axes.index(axis) for axis in axes]))


def tensor_sources(settings: CodecConfig) -> dict[str, TensorSource]:
    """Returns the source of each parameter of a codec, by its name in files."""
    codec = abstract_codec(settings)
    shapes = {
        path: variable.shape
        for path, variable in nnx.to_flat_state(nnx.state(codec, nnx.Param))
    }
    return {
        name: _source(codec, path, shapes[path])
        for path, name in structure(settings)[1].items()
    }


def _source(codec: Codec, path: Path, shape: tuple[int, ...]) -> TensorSource:
    def rename(node: Any, key: str) -> str:
        return _NAMES.get(type(node), {}).get(key, key)

    levels = list(steps(codec, path, rename))
    names = [str(name) for name, _, _ in levels]
    owners = [(node, key) for _, node, key in levels if isinstance(key, str)]
    (parent, part), (layer, kind) = owners[-2:]
    names = ["weight" if name == "kernel" else name for name in names if name]
    axes, tensor_axes = _LAYOUTS.get((type(layer), kind), ("o", "o"))
    lengths = dict(zip(axes, shape, strict=True)) | {"1": 1}
    finish = _unchanged
    if isinstance(parent, SubPixelUpsampling):
        finish = _phases_first
    elif isinstance(layer, MaskedConvolution) and kind == "kernel":
        finish = functools.partial(_masked, taps=layer.taps)
    elif isinstance(parent, ParameterNetwork) and (part, kind) in _HALVES:
        # CompressAI has one kernel for features and context, in this order.
        finish = functools.partial(_half, index=_HALVES[part, kind])
        lengths["i"] *= 2
    return TensorSource(
        tensor=".".join(names),
        shape=tuple(lengths[axis] for axis in tensor_axes),
        layout=(axes, tensor_axes),
        finish=finish,
    )


_HALVES = {("features", "kernel"): 0, ("neighbors", "kernel"): 1}
"""Half of CompressAI's kernel that each kernel of a parameter network is."""


def _unchanged(array: np.ndarray) -> np.ndarray:
    return array


def _phases_first(array: np.ndarray) -> np.ndarray:
    """Reorders output channels so that phases, not channels, are the outer axis."""
    split = array.reshape(*array.shape[:-1], -1, 4)
    return split.swapaxes(-1, -2).reshape(array.shape)


def _half(kernel: np.ndarray, *, index: int) -> np.ndarray:
    return np.split(kernel, 2)[index]


def _masked(kernel: np.ndarray, *, taps: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Returns the kernel with zeros at all taps but the given ones."""
    rows, columns = tap_index(taps)
    masked = np.zeros_like(kernel)
    masked[rows, columns] = kernel[rows, columns]
    return masked
