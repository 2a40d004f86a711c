"""Imports weights of CompressAI, https://github.com/InterDigitalInc/CompressAI."""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxcorr import saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import CAUSAL_TAPS, Autoregressive
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai_mapping, pytorch_checkpoint
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath
from jaxcorr.provenance import Provenance
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen

Architecture = Literal["mbt2018-mean", "mbt2018", "cheng2020-anchor", "cheng2020-attn"]
"""Architectures that can be imported, by their names in CompressAI."""

State = Mapping[str, Float32[np.ndarray, "..."]]
"""Tensors of a state dict, by name."""

ARCHITECTURES: dict[Architecture, Callable[[State], CodecConfig]] = {
    "mbt2018-mean": lambda state: CodecConfig(transforms=_minnen(state)),
    "mbt2018": lambda state: CodecConfig(
        transforms=_minnen(state), context=Autoregressive()
    ),
    "cheng2020-anchor": lambda state: CodecConfig(
        transforms=_cheng(state, attention=False), context=Autoregressive()
    ),
    "cheng2020-attn": lambda state: CodecConfig(
        transforms=_cheng(state, attention=True), context=Autoregressive()
    ),
}
"""Settings of each architecture, with sizes read off the tensors."""

STATE_KEYS = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints of training scripts hold the state dict."""

_QUANTILES = "entropy_bottleneck.quantiles"
_MASK = "context_prediction.mask"
_BUFFERS = re.compile(
    r"^gaussian_conditional\.|_reparam\."
    r"|\.(_offset|_quantized_cdf|_cdf_length|target|bound|mask)$"
)
"""Names of tensors that CompressAI computes from parameters or does not train."""
_RENAMES = (
    (r"^module\.", ""),  # By torch's DataParallel.
    (r"\.downsample\.", ".skip."),
    (r"^(entropy_bottleneck)\._(?:matrices\.|matrix)(\d)$", r"\1.matrices.\2"),
    (r"^(entropy_bottleneck)\._(?:biases\.|bias)(\d)$", r"\1.biases.\2"),
    (r"^(entropy_bottleneck)\._(?:factors\.|factor)(\d)$", r"\1.factors.\2"),
)
"""Patterns of names of earlier versions, and their replacements."""
_ANY_SIZE = 2
"""Size of an architecture of which only the tensor names are needed."""


def read_state(path: AnyPath) -> dict[str, Float32[np.ndarray, "..."]]:
    """Reads a state dict, saved by itself or in a checkpoint of a training script.

    Raises:
      UserError: If the file cannot be read, or holds no state dict.
    """
    content = pytorch_checkpoint.read_checkpoint(path)
    checkpoint = content if isinstance(content, dict) else {}
    state = next((checkpoint[key] for key in STATE_KEYS if key in checkpoint), content)
    if not (
        isinstance(state, dict)
        and state
        and all(isinstance(tensor, np.ndarray) for tensor in state.values())
        and not any(map(np.iscomplexobj, state.values()))
    ):
        raise UserError(
            f"{path} holds no state dict: it must map names to real tensors, at the "
            f"top level or under one of {', '.join(STATE_KEYS)}"
        )
    return {str(name): tensor.astype(np.float32) for name, tensor in state.items()}


def convert(
    state: State, architecture: Architecture, *, name: str = "the state dict"
) -> Model:
    """Converts a state dict of CompressAI to a model.

    Args:
      state: Tensors by name, as version 1.2.9.dev0 or an earlier one names them.
      architecture: Architecture of the model.
      name: Name of the state dict in messages.

    Raises:
      UserError: If the tensors are not those of a model of the architecture.
    """
    tensors = _parameters(state)
    try:
        settings = ARCHITECTURES[architecture](tensors)
    except UserError as error:
        raise UserError(
            f"{name} has sizes that {architecture} cannot have: {error}"
        ) from error
    sources = compressai_mapping.tensor_sources(settings)
    _check_names(name, tensors, architecture)
    transforms = settings.transforms
    shapes = {source.tensor: source.shape for source in sources.values()}
    shapes[_QUANTILES] = (transforms.side_channels, 1, 3)
    for tensor, shape in shapes.items():
        if tensors[tensor].shape != shape:
            raise UserError(
                f"{name}: {tensor} must have shape {shape} in {architecture} with "
                f"{transforms.side_channels} hidden and {transforms.channels} latent "
                f"channels, but has {tensors[tensor].shape}"
            )
        if not np.isfinite(tensors[tensor]).all():
            raise UserError(f"{name}: {tensor} must be finite, but is not")
    _check_mask(name, state)
    parameters = {
        path: source.parameter(tensors[source.tensor])
        for path, source in sources.items()
    }
    median = tensors[_QUANTILES][:, 0, 1]
    provenance = Provenance(source="CompressAI", architecture=architecture)
    try:
        return saved_model.make_model(
            settings, parameters, median=median, provenance=provenance
        )
    except ValueError as error:  # Finite parameters, but probabilities that are not.
        raise UserError(
            f"{name} has values that give no probabilities: {error}"
        ) from error


@functools.cache
def tensor_names(architecture: Architecture) -> frozenset[str]:
    """Returns the names of the tensors of an architecture, without buffers."""
    sources = compressai_mapping.tensor_sources(ARCHITECTURES[architecture]({}))
    return frozenset({_QUANTILES, *(source.tensor for source in sources.values())})


def _minnen(state: State) -> Minnen:
    return Minnen(
        width=_outputs(state, "g_a.0.weight"), channels=_outputs(state, "g_a.6.weight")
    )


def _cheng(state: State, *, attention: bool) -> Cheng:
    return Cheng(width=_outputs(state, "g_a.0.conv1.weight"), attention=attention)


def _outputs(state: State, tensor: str) -> int:
    """Returns the output channels of a convolution, or any number if it is missing."""
    shape = state[tensor].shape if tensor in state else ()
    return shape[0] if shape else _ANY_SIZE


def _parameters(state: State) -> State:
    """Returns the tensors without buffers, by their names since version 1.2.8."""
    parameters = {}
    for name, tensor in state.items():
        for pattern, new in _RENAMES:
            name = re.sub(pattern, new, name)
        if not _BUFFERS.search(name):
            parameters[name] = tensor
    return parameters


def _check_names(name: str, tensors: State, architecture: Architecture) -> None:
    """Checks that no tensor is missing and none is left over."""
    missing = tensor_names(architecture) - set(tensors)
    extra = set(tensors) - tensor_names(architecture)
    if missing:
        problem = f"lacks {_listed(missing)}, which {architecture} has"
    elif extra:
        problem = f"has {_listed(extra)}, which {architecture} lacks"
    else:
        return
    closest = _closest(set(tensors))
    if closest is None:
        problem += f"; it looks like none of {', '.join(ARCHITECTURES)}"
    elif closest != architecture:
        problem += f"; it looks like {closest}"
    raise UserError(f"{name} {problem}")


def _closest(names: set[str]) -> Architecture | None:
    """Returns the architecture whose tensor names are similar, or None."""
    differing = {kind: len(names ^ tensor_names(kind)) for kind in ARCHITECTURES}
    best = min(ARCHITECTURES, key=differing.__getitem__)
    return best if differing[best] < len(tensor_names(best)) / 2 else None


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more tensors"


def _check_mask(name: str, state: State) -> None:
    """Checks that the masked convolution, if there is one, sees the causal taps."""
    mask = state.get(_MASK, state.get(f"module.{_MASK}"))
    if mask is None:
        return
    seen = np.argwhere(mask.any(axis=tuple(range(mask.ndim - 2)))) - 2
    if not np.array_equal(seen, CAUSAL_TAPS):
        raise UserError(
            f"{name}: {_MASK} must be 1 at the {len(CAUSAL_TAPS)} latents before the "
            f"center and 0 elsewhere, but is not (it is 1 at {len(seen)})"
        )
