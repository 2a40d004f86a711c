"""What coding has decoded, for context models that look at whole canvases."""

import dataclasses

import numpy as np
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Features and decoded latents.

    Attributes:
      features: Features of the side information, or what a first layer makes of them,
        on the canvas.
      latent_hat: Decoded latents on the canvas; zeros where there are none yet.
      size: Rows and columns that are coded.
    """

    features: Float[Array, "h16 w16 f"]
    latent_hat: Float[np.ndarray, "h16 w16 c"]
    size: tuple[int, int]


def nothing_yet(
    features: Float[Array, "h16 w16 f"], size: tuple[int, int], *, channels: int
) -> Decoded:
    """The state before the first pass, in the precision of the features."""
    latent_hat = np.zeros((*features.shape[:2], channels), features.dtype)
    return Decoded(features=features, latent_hat=latent_hat, size=size)
