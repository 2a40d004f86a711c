"""Models from weights of CompressAI, https://github.com/InterDigitalInc/CompressAI."""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxcorr import saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import CAUSAL_TAPS, Autoregressive
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai_mapping
from jaxcorr.provenance import Provenance
from jaxcorr.saved_model import Model
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen

Architecture = Literal["mbt2018-mean", "mbt2018", "cheng2020-anchor", "cheng2020-attn"]
"""What CompressAI calls the architectures that can be read."""

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
"""Settings of each architecture, at the sizes that the tensors have."""

STATE_KEYS = ("state_dict", "model_state_dict", "model")
"""Where checkpoints of training scripts hold the state dict."""

_QUANTILES = "entropy_bottleneck.quantiles"
_MASK = "context_prediction.mask"
_NO_PARAMETER = re.compile(
    r"^gaussian_conditional\.|_reparam\."
    r"|\.(_offset|_quantized_cdf|_cdf_length|target|bound|mask)$"
)
"""Buffers: what CompressAI computes from parameters, or does not train."""
_RENAMED = (
    (r"^module\.", ""),  # By torch's DataParallel.
    (r"\.downsample\.", ".skip."),
    (r"^(entropy_bottleneck)\._(?:matrices\.|matrix)(\d)$", r"\1.matrices.\2"),
    (r"^(entropy_bottleneck)\._(?:biases\.|bias)(\d)$", r"\1.biases.\2"),
    (r"^(entropy_bottleneck)\._(?:factors\.|factor)(\d)$", r"\1.factors.\2"),
)
"""Names of earlier versions, as patterns, and what they became."""
_STAND_IN = 2
"""Size of an architecture of which the names alone are asked."""


def read_state(path: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    """Reads a state dict, by itself or in a checkpoint of a training script.

    Raises:
      UserError: If there is no torch, or no state dict in the file.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]  # An extra.
    except ImportError as error:
        raise UserError(
            f"{path} cannot be read without torch: pip install 'jaxcorr[compressai]'"
        ) from error
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Of many kinds, where bytes are no file of torch.
        other = re.search(r"GLOBAL (\S+)", str(error))
        reason = (
            f"it holds a {other[1]}, and what is no tensor could run code"
            if other
            else "torch did not write it, or it is damaged"
        )
        raise UserError(f"{path} cannot be read: {reason}") from error
    inner = held if isinstance(held, Mapping) else {}
    held = next((inner[key] for key in STATE_KEYS if key in inner), held)
    if not (
        isinstance(held, Mapping)
        and held
        and all(isinstance(tensor, torch.Tensor) for tensor in held.values())
    ):
        raise UserError(
            f"{path} holds no state dict: tensors by name, or these under one of "
            f"{', '.join(STATE_KEYS)}"
        )
    return {str(name): tensor.detach().float().numpy() for name, tensor in held.items()}


def convert(
    state: State, architecture: Architecture, *, name: str = "the state dict"
) -> Model:
    """The model with these weights.

    Args:
      state: Tensors of CompressAI's model, under its names of today or of earlier
        versions.
      architecture: What the model is.
      name: Of the state dict, in messages.

    Raises:
      UserError: If these are not the tensors of such a model.
    """
    tensors = _renamed(state)
    try:
        settings = ARCHITECTURES[architecture](tensors)
    except UserError as error:
        raise UserError(
            f"{name} has sizes that no {architecture} has: {error}"
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
    return saved_model.make_model(
        settings,
        {
            path: source.parameter(tensors[source.tensor])
            for path, source in sources.items()
        },
        median=tensors[_QUANTILES][:, 0, 1],
        provenance=Provenance(source="CompressAI", architecture=architecture),
    )


@functools.cache
def tensors_of(architecture: Architecture) -> frozenset[str]:
    """Names of the tensors that an architecture has, buffers apart."""
    sources = compressai_mapping.tensor_sources(ARCHITECTURES[architecture]({}))
    return frozenset({_QUANTILES, *(source.tensor for source in sources.values())})


def _minnen(state: State) -> Minnen:
    return Minnen(
        width=_outputs(state, "g_a.0.weight"), channels=_outputs(state, "g_a.6.weight")
    )


def _cheng(state: State, *, attention: bool) -> Cheng:
    return Cheng(width=_outputs(state, "g_a.0.conv1.weight"), attention=attention)


def _outputs(state: State, tensor: str) -> int:
    """Output channels of a convolution; any, where it is missing."""
    shape = state[tensor].shape if tensor in state else ()
    return shape[0] if shape else _STAND_IN


def _renamed(state: State) -> State:
    """The parameters, under the names that version 1.2.8 gives them."""
    found = {}
    for name, tensor in state.items():
        for pattern, new in _RENAMED:
            name = re.sub(pattern, new, name)
        if not _NO_PARAMETER.search(name):
            found[name] = tensor
    return found


def _check_names(name: str, tensors: State, architecture: Architecture) -> None:
    """Refuses missing and left-over tensors."""
    missing = tensors_of(architecture) - set(tensors)
    extra = set(tensors) - tensors_of(architecture)
    if missing:
        fault = f"lacks {_listed(missing)}, which {architecture} has"
    elif extra:
        fault = f"has {_listed(extra)}, which {architecture} lacks"
    else:
        return
    closest = _closest(set(tensors))
    if closest is None:
        fault += f"; it looks like none of {', '.join(ARCHITECTURES)}"
    elif closest != architecture:
        fault += f"; it looks like {closest}"
    raise UserError(f"{name} {fault}")


def _closest(names: set[str]) -> Architecture | None:
    """Architecture with about these tensors, if there is one."""
    differing = {kind: len(names ^ tensors_of(kind)) for kind in ARCHITECTURES}
    best = min(ARCHITECTURES, key=differing.__getitem__)
    return best if differing[best] < len(tensors_of(best)) / 2 else None


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more tensors"


def _check_mask(name: str, state: State) -> None:
    """Refuses a context model that has these names, but sees other latents."""
    mask = state.get(_MASK, state.get(f"module.{_MASK}"))
    if mask is None:
        return
    seen = np.argwhere(mask.any(axis=tuple(range(mask.ndim - 2)))) - 2
    if not np.array_equal(seen, CAUSAL_TAPS):
        raise UserError(
            f"{name}: {_MASK} must be 1 at the {len(CAUSAL_TAPS)} latents before the "
            f"center, but is 1 at {len(seen)} latents, others among them"
        )
