"""Names of parameters in files, which stay the same when attributes are renamed.

A parameter has a path of attributes in the code, such as
`transforms.analysis.layers[0].kernel`, and a path of names in files, such as
`transforms/analysis/layers/0/kernel`. The table below has the name in files of every
attribute of every module: when an attribute is renamed in the code, its key changes and
its value stays. Fingerprints, model folders and checkpoints use names in files only.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flax import nnx
from jaxtyping import Array

from jaxcorr import compatibility
from jaxcorr.context.autoregressive import AutoregressiveContext
from jaxcorr.context.channelwise import ChannelwiseContext
from jaxcorr.context.checkerboard import CheckerboardContext
from jaxcorr.context.parameters import ParameterNetwork
from jaxcorr.context.slices import SliceNetworks, SliceTransform
from jaxcorr.context.space_channel import GroupNetworks, SpaceChannelContext
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.layers import residual, swin
from jaxcorr.layers.convolution import (
    Convolution,
    MaskedConvolution,
    Pointwise,
    Upsampling,
)
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.subpixel import SubPixelUpsampling
from jaxcorr.transforms.base import Transforms

Parameters = dict[str, Array]
"""Arrays of a codec by their names in files, such as `prior/biases/0`."""

Path = tuple[Any, ...]
"""Attributes, and indices of lists, from a module down to a parameter."""

Names = dict[type, Mapping[str, str]]
"""Other names of the attributes of each type of module."""

_WEIGHTS = {"kernel": "kernel", "bias": "bias"}
_THREE = {"first": "first", "second": "second", "third": "third"}

STORED_NAMES: Names = {
    Transforms: {
        "analysis": "analysis",
        "synthesis": "synthesis",
        "hyper_analysis": "hyper_analysis",
        "hyper_synthesis": "hyper_synthesis",
    },
    FactorizedPrior: {"matrices": "matrices", "biases": "biases", "gates": "gates"},
    CheckerboardContext: {"neighbors": "neighbors", "network": "network"},
    AutoregressiveContext: {"neighbors": "neighbors", "network": "network"},
    ChannelwiseContext: {"slices": "slices"},
    SpaceChannelContext: {"groups": "groups"},
    GroupNetworks: {
        "earlier": "earlier",
        "neighbors": "neighbors",
        "aggregation": "aggregation",
    },
    ParameterNetwork: {
        "features": "features",
        "neighbors": "neighbors",
        "middle": "middle",
        "last": "last",
    },
    SliceNetworks: {"mean": "mean", "scale": "scale", "residual": "residual"},
    SliceTransform: _THREE,
    compatibility.Sequential: {"layers": "layers"},
    Convolution: _WEIGHTS,
    MaskedConvolution: _WEIGHTS,
    Upsampling: _WEIGHTS,
    Pointwise: _WEIGHTS,
    SubPixelUpsampling: {"convolution": "convolution"},
    GDN: {"beta_root": "beta_root", "gamma_root": "gamma_root"},
    residual.ResidualBlock: {"first": "first", "second": "second"},
    residual.ResidualDownsampling: {
        "first": "first",
        "second": "second",
        "normalization": "normalization",
        "skip": "skip",
    },
    residual.ResidualUpsampling: {
        "first": "first",
        "second": "second",
        "normalization": "normalization",
        "skip": "skip",
    },
    residual.AttentionBlock: {"branch": "branch", "gate": "gate"},
    residual.Bottleneck: _THREE,
    swin.LayerNorm: {"gain": "gain", "bias": "bias"},
    swin.SwinBlock: {
        "attention_norm": "attention_norm",
        "query_key_value": "query_key_value",
        "position_bias": "position_bias",
        "projection": "projection",
        "perceptron_norm": "perceptron_norm",
        "perceptron": "perceptron",
    },
    swin.PatchEmbedding: {"linear": "linear"},
    swin.PatchMerging: {"norm": "norm", "linear": "linear"},
    swin.PatchSplitting: {"linear": "linear", "norm": "norm"},
    swin.PatchUnpacking: {"linear": "linear"},
}
"""Name in files of every attribute that holds parameters, by the type of its module.

The attributes of `Codec` are in `codec.py`."""


def stored_paths(module: nnx.Module, names: Names) -> dict[Path, str]:
    """Returns the names in files of the parameters of a module, by their paths.

    Args:
      module: The module, whose parameters may be abstract.
      names: Names in files of the attributes of each type of module.

    Raises:
      KeyError: If an attribute that holds parameters has no name in files.
    """

    def rename(owner: Any, attribute: str) -> str:
        return names[type(owner)][attribute]

    paths = [path for path, _ in nnx.to_flat_state(nnx.state(module, nnx.Param))]
    return {
        path: "/".join(str(name) for name, _, _ in steps(module, path, rename))
        for path in paths
    }


def steps(
    module: nnx.Module, path: Path, rename: Callable[[Any, str], str]
) -> Iterator[tuple[str | int, Any, str | int]]:
    """Follows a path from a module down to a parameter.

    Args:
      module: The module that the path starts from.
      path: Attributes, and indices of lists.
      rename: Returns another name of an attribute, given its owner and its name.

    Yields:
      For each step its other name (in a list, the index itself), its owner, and its
      attribute or index.
    """
    node: Any = module
    for key in path:
        if isinstance(key, int):
            yield key, node, key
            node = node[key]
        else:
            yield rename(node, key), node, key
            node = getattr(node, key)
