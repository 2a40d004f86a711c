"""Which tensor of CompressAI each parameter of a codec is, and in what layout.

A codec is walked from the top. What every part is called there follows from the type of
the module that it is a part of, and the layout of a tensor from the type of its layer.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float

from jaxcorr.codec import Codec, CodecConfig, structure
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
    nnx.Sequential: {"layers": ""},
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
"""CompressAI's names of the parts of each module, where they are not ours; empty where
there is no such level."""

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
"""Axes here and there: height, width, inputs, outputs, channels; 1 is a length."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSource:
    """Where the value of a parameter comes from.

    Attributes:
      tensor: Its name in a state dict of CompressAI.
      shape: Shape of that tensor.
      layout: Axes of the parameter, and of the tensor.
      finish: What else is to be done, once the axes are those of the parameter.
    """

    tensor: str
    shape: tuple[int, ...]
    layout: tuple[str, str]
    finish: Callable[[np.ndarray], np.ndarray]

    def parameter(self, tensor: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The parameter, from a tensor of the right shape."""
        ours, theirs = self.layout
        kept = theirs.rstrip("1")
        array = tensor.reshape(tensor.shape[: len(kept)])
        return self.finish(array.transpose([kept.index(axis) for axis in ours]))


def tensor_sources(settings: CodecConfig) -> dict[str, TensorSource]:
    """Returns where each parameter of a codec comes from, by its name in files."""
    codec = nnx.eval_shape(lambda: Codec(settings, rngs=nnx.Rngs(0)))
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

    walked = list(steps(codec, path, rename))
    names = [str(name) for name, _, _ in walked]
    owners = [(node, key) for _, node, key in walked if isinstance(key, str)]
    (above, part), (layer, kind) = owners[-2:]
    names = ["weight" if name == "kernel" else name for name in names if name]
    ours, theirs = _LAYOUTS.get((type(layer), kind), ("o", "o"))
    lengths = dict(zip(ours, shape, strict=True)) | {"1": 1}
    finish = _as_it_is
    if isinstance(above, SubPixelUpsampling):
        finish = _phases_first
    elif isinstance(layer, MaskedConvolution) and kind == "kernel":
        finish = functools.partial(_masked, taps=layer.taps)
    elif isinstance(above, ParameterNetwork) and (part, kind) in _HALVES:
        # There one kernel sees features and what describes neighbors, in this order.
        finish = functools.partial(_half, index=_HALVES[part, kind])
        lengths["i"] *= 2
    return TensorSource(
        tensor=".".join(names),
        shape=tuple(lengths[axis] for axis in theirs),
        layout=(ours, theirs),
        finish=finish,
    )


_HALVES = {("features", "kernel"): 0, ("neighbors", "kernel"): 1}


def _as_it_is(array: np.ndarray) -> np.ndarray:
    return array


def _phases_first(array: np.ndarray) -> np.ndarray:
    """Output channels, each with its four phases, as four phases of all channels."""
    split = array.reshape(*array.shape[:-1], -1, 4)
    return split.swapaxes(-1, -2).reshape(array.shape)


def _half(kernel: np.ndarray, *, index: int) -> np.ndarray:
    return np.split(kernel, 2)[index]


def _masked(kernel: np.ndarray, *, taps: tuple[tuple[int, int], ...]) -> np.ndarray:
    """The kernel with zeros at all other taps."""
    rows, columns = tap_index(taps)
    masked = np.zeros_like(kernel)
    masked[rows, columns] = kernel[rows, columns]
    return masked
