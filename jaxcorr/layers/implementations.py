"""Implementations of upsampling and GDN, chosen by platform.

All implementations of a layer are the same function of the same parameters, but the
fastest one differs between platforms. The choice is that of the platform that a program
is compiled for, even if it is compiled ahead of time on another machine.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
from jaxtyping import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Implementations:
    """Choice of the implementation of each layer that has several."""

    upsampling: Literal["polyphase", "separate", "transposed"] = "polyphase"
    """Transposed 5x5 convolution: by all phases at once at the low resolution
    ("polyphase"), by each phase apart ("separate"; in float64, which files are coded
    in, the same as "polyphase"), or as a convolution of the dilated input
    ("transposed")."""
    sub_pixels: Literal["interleaved", "transposed"] = "interleaved"
    """Sub-pixel upsampling: a 3x3 convolution whose channels are interleaved, or a
    transposed 6x6 convolution."""
    channel_product: Literal["matrix", "convolution"] = "matrix"
    """Sum over channels in GDN: a matrix product, or a 1x1 convolution."""
    half_resolution: Literal["plain", "phases"] = "plain"
    """Layers at half of the resolution of an image, whose arrays are the largest: as
    all others, or over phases (`jaxcorr.layers.phases`), which fill the lanes of a TPU
    and need no dilation."""


DEFAULT = Implementations()
"""Implementations on the platforms that `BY_PLATFORM` does not list."""
BY_PLATFORM: dict[str, Implementations] = {
    "cpu": Implementations(upsampling="separate"),
    "tpu": Implementations(
        upsampling="transposed",
        sub_pixels="transposed",
        channel_product="convolution",
        half_resolution="phases",
    ),
}
"""Implementations by JAX's name of the platform: `cpu`, `cuda`, `rocm` or `tpu`."""

forced = jax.make_user_context(default_value=None)
"""Context manager that chooses the implementations on every platform.

Use it as `with forced(Implementations(…)):`. JAX caches the programs that are compiled
in this context apart from all others.
"""


def choose(
    layer: str, functions: Mapping[str, Callable[..., Array]], *arguments: Any
) -> Array:
    """Computes a layer by the implementation for the platform that runs the program.

    Args:
      layer: Field of `Implementations`.
      functions: Function of each implementation, by its name in that field.
      *arguments: Arguments of the function.
    """
    if forced.value is not None:
        return functions[getattr(forced.value, layer)](*arguments)
    default = getattr(DEFAULT, layer)
    others = {
        platform: functions[getattr(implementations, layer)]
        for platform, implementations in BY_PLATFORM.items()
        if getattr(implementations, layer) != default
    }
    return jax.lax.platform_dependent(*arguments, **others, default=functions[default])


def choose_phases(
    plain: Callable[..., Array],
    over_phases: Callable[..., Array],
    *arguments: Any,
    half_resolution: bool,
) -> Array:
    """Computes a layer as any other, or over phases where the platform prefers them.

    Args:
      plain: Function of the layer as any other.
      over_phases: The same function over phases.
      *arguments: Arguments of the function.
      half_resolution: Whether an end of the layer has half of the resolution of an
        image; other layers are never computed over phases.
    """
    if not half_resolution:
        return plain(*arguments)
    functions = {"plain": plain, "phases": over_phases}
    return choose("half_resolution", functions, *arguments)
