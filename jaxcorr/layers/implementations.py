"""The form in which each platform computes upsampling and GDN: one table.

The forms of a layer are the same function of the same parameters; platforms differ in
which of them is fast. A compiled program has the form of the platform that it is
compiled for, also where it is compiled ahead of time for a device that is not here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
from jaxtyping import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Implementations:
    """How a platform computes the layers that have several forms."""

    upsampling: Literal["polyphase", "transposed"] = "polyphase"
    """Transposed 5x5 convolution: phase by phase at the low resolution, or over inputs
    with zeros between them."""
    sub_pixels: Literal["interleaved", "transposed"] = "interleaved"
    """Sub-pixel upsampling: a 3x3 convolution whose channels are interleaved, or a
    transposed 6x6 convolution."""
    channel_product: Literal["matrix", "convolution"] = "matrix"
    """Sum over channels in GDN: a matrix product, or a 1x1 convolution."""


DEFAULT = Implementations()
"""Forms of the platforms that `FORMS` does not list."""
BY_PLATFORM: dict[str, Implementations] = {
    "tpu": Implementations(
        upsampling="transposed", sub_pixels="transposed", channel_product="convolution"
    ),
}
"""Forms by JAX's name of the platform: `cpu`, `cuda`, `rocm` or `tpu`."""

forced = jax.make_user_context(default_value=None)
"""`with forced(Forms(…)):` computes in these forms on every platform.

Programs that are compiled under it are kept apart from the others.
"""


def choose(
    kind: str, forms: Mapping[str, Callable[..., Array]], *arguments: Any
) -> Array:
    """Computes a layer in the form of the platform that runs it.

    Args:
      kind: Field of `Forms`.
      forms: Functions by their names in that field.
      *arguments: Arguments of all of them.
    """
    if forced.value is not None:
        return forms[getattr(forced.value, kind)](*arguments)
    default = getattr(DEFAULT, kind)
    others = {
        platform: forms[getattr(chosen, kind)]
        for platform, chosen in BY_PLATFORM.items()
        if getattr(chosen, kind) != default
    }
    return jax.lax.platform_dependent(*arguments, **others, default=forms[default])
