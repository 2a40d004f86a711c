"""Savings in percent of bits, with standard errors over images."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saving:
    """Bits that a predictor saves.

    Attributes:
      name: Key in results.
      title: Description in a table.
      percent: Saved bits, in percent of the bits of the latents.
      error: Standard error of `percent` over images.
      reference: Name of the predictor that `more_percent` compares with; None for the
        codec, or for a closed form.
      more_percent: Saved bits beyond those of the reference, in percent.
      more_error: Standard error of `more_percent`, over the differences of images.
    """

    name: str
    title: str
    percent: float
    error: float
    reference: str | None = None
    more_percent: float | None = None
    more_error: float | None = None


def ratio_percent(
    saved: Float[np.ndarray, " i"], bits: Float[np.ndarray, " i"]
) -> tuple[float, float]:
    """Returns saved bits in percent of all bits, and the standard error over images.

    The error is that of a ratio of two sums (the delta method).

    Args:
      saved: Saved bits of each image.
      bits: Bits of each image.
    """
    count, ratio = saved.size, saved.sum() / bits.sum()
    spread = np.sum((saved - ratio * bits) ** 2) * count / (count - 1)
    return 100 * float(ratio), 100 * float(np.sqrt(spread) / bits.sum())


def jackknife(
    estimate: Callable[[Float[np.ndarray, " i"]], float],
    weights: Float[np.ndarray, " i"],
) -> tuple[float, float]:
    """Returns an estimate and its standard error, by leaving out an image at a time.

    Args:
      estimate: Function of the weights of the images.
      weights: Weights of the images in the estimate.
    """
    count = weights.size
    others = [estimate(weights * (np.arange(count) != left)) for left in range(count)]
    spread = np.sum((np.array(others) - np.mean(others)) ** 2)
    return estimate(weights), float(np.sqrt(spread * (count - 1) / count))
