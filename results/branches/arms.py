"""Arms of `study.py` as they were measured, and how they differ.

An arm is compared with the arm without the loss from the same checkpoint, image by
image. A change is the geometric mean over images of the ratio of two values, in percent
above 1. The cost of an image is bpp + λ MSE.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import study
import whole_images
from jaxtyping import Float

BASE = "published 0"
"""Name of the arm without the loss."""

Key = tuple[str, float, str]
"""Trunk, λ and arm."""
Values = Float[np.ndarray, " images"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm from one checkpoint, on one set of images.

    Attributes:
      trunk: Name of the trunk.
      rate: λ.
      name: Name of the arm, with its α.
      images: Set of images.
      step: Checkpoint that it branches from.
      rows: Measurements of each image.
    """

    trunk: str
    rate: float
    name: str
    images: str
    step: int
    rows: tuple[whole_images.Row, ...]

    @property
    def key(self) -> Key:
        """Returns what all pairs of an arm share."""
        return self.trunk, self.rate, self.name

    @property
    def place(self) -> tuple[str, float, str, int]:
        """Returns what an arm and the arm without the loss share."""
        return self.trunk, self.rate, self.images, self.step

    @property
    def offset(self) -> float:
        """Returns the share of the loss that offsets of the channels cause."""
        loss = self.mean("correlation")
        return 1 - self.mean("centered") / loss if loss else 0.0

    def values(self, name: str) -> Values:
        """Returns a measurement of each image."""
        return np.array([getattr(row, name) for row in self.rows])

    def mean(self, name: str) -> float:
        """Returns the mean of a measurement over the images."""
        return statistics.mean(self.values(name).tolist())


Pair = tuple[Arm, Arm]
"""The arm without the loss, or another one to compare with, and an arm."""


def bits(arm: Arm) -> Values:
    """Returns the bits per pixel of each image."""
    return arm.values("bpp_y") + arm.values("bpp_z")


def cost(arm: Arm) -> Values:
    """Returns the cost of each image, in bits per pixel."""
    return bits(arm) + arm.rate * arm.values("mse")


def measurement(name: str) -> Callable[[Arm], Values]:
    """Returns a function that returns a measurement of each image."""
    return lambda arm: arm.values(name)


def logarithms(pair: Pair, value: Callable[[Arm], Values] = cost) -> Values:
    """Returns the logarithm of the ratio of a value of two arms, for each image.

    Raises:
      ValueError: If the arms were not measured on the same images.
    """
    base, arm = pair
    if [row.image for row in base.rows] != [row.image for row in arm.rows]:
        raise ValueError(f"{base.key} and {arm.key} have other images")
    return np.log(value(arm) / value(base))


def percent(values: Values) -> float:
    """Returns the geometric mean of ratios above 1, in percent, from logarithms."""
    return 100 * float(np.expm1(values.mean()))


def change(pair: Pair, value: Callable[[Arm], Values] = cost) -> float:
    """Returns the change of a value, in percent."""
    return percent(logarithms(pair, value))


def change_of_bits(pair: Pair) -> float:
    """Returns the change of the bits at equal MSE, in percent, to first order.

    The change of the cost of an image is divided by the share of its bits. This takes
    the codec to trade bits for MSE at the slope -λ, as a converged one does.
    """
    base, _ = pair
    return percent(logarithms(pair) * cost(base) / bits(base))


def arm_pairs() -> dict[Key, list[Pair]]:
    """Returns each arm with the arm without the loss from the same checkpoint."""
    arms = list(read_arms())
    base = {arm.place: arm for arm in arms if arm.name == BASE}
    pairs: dict[Key, list[Pair]] = {}
    for arm in arms:
        if arm.name != BASE and arm.place in base:
            pairs.setdefault(arm.key, []).append((base[arm.place], arm))
    return pairs


def on(images: str, pairs: Sequence[Pair]) -> list[Pair]:
    """Returns the pairs that were measured on a set of images."""
    return [pair for pair in pairs if pair[1].images == images]


def read_arms() -> Iterator[Arm]:
    """Yields every arm that was measured."""
    for trunk, settings in study.TRUNKS.items():
        for rate in study.WEIGHTS:
            for name in settings.arms:
                pattern = f"{trunk}-*-{rate:g}-{name}/*.csv"
                for table in sorted(study.FOLDER.glob(pattern)):
                    yield from _read_table(table, trunk, rate, name)


def _read_table(table: Path, trunk: str, rate: float, name: str) -> Iterator[Arm]:
    """Yields the arms of a table, one for each α."""
    rows = whole_images.read(table)
    for weight in sorted({row.weight for row in rows}):
        yield Arm(
            trunk=trunk,
            rate=rate,
            name=f"{name} {weight:g}",
            images=table.stem,
            step=int(table.parent.name.split("-")[1]),
            rows=tuple(row for row in rows if row.weight == weight),
        )
