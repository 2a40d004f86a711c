"""Mixtures of sources: which source and which of its images each position takes."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from jaxcorr.data.image_source import ImageSource
from jaxcorr.errors import UserError

KIND = "mix"
"""Name of a mixture in front of the colon."""

FORM = f"{KIND}:WEIGHT*SOURCE+WEIGHT*SOURCE+…"

LONGEST_PERIOD = 10_000
"""Largest number of positions after which the turns of the sources repeat."""

_NUMBER = r"\d+\.?\d*|\.\d+"
# Only a plus sign before a weight separates sources, so names may contain others.
_SEPARATOR = re.compile(rf"\+(?=(?:{_NUMBER})\*)")
_PART = re.compile(rf"({_NUMBER})\*(.+)", re.DOTALL)


class Mixture:
    """Several sources that a pipeline takes images from in proportion to weights.

    As a source of its own, it holds the images of its sources one after another.

    Args:
      sources: The sources.
      weights: Weight of each source, above 0.

    Attributes:
      sources: The sources.
      counts: Images of each source in a period: the smallest integers that are in
        proportion to the weights.

    Raises:
      UserError: If the period is longer than `LONGEST_PERIOD`.
    """

    def __init__(self, sources: Sequence[ImageSource], weights: Sequence[Fraction]):
        self.sources = tuple(sources)
        self.counts = period_counts(weights)
        self._turns = turns(self.counts)
        seen = [0] * len(self.counts)
        self._earlier = []
        for source in self._turns:
            self._earlier.append(seen[source])
            seen[source] += 1

    def place(self, position: int) -> tuple[int, int]:
        """Returns which source has its turn at a position, and its earlier turns.

        Any `sum(counts)` consecutive positions hold exactly `counts[i]` turns of source
        number i.

        Args:
          position: Position in the endless sequence of images, from 0.
        """
        periods, position = divmod(position, len(self._turns))
        source = self._turns[position]
        return source, periods * self.counts[source] + self._earlier[position]

    def __len__(self) -> int:
        """Returns the number of images of all sources together."""
        return sum(map(len, self.sources))

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Returns an image; those of the first source come first."""
        for source in self.sources:
            if index < len(source):
                return source[index]
            index -= len(source)
        raise IndexError("the mixture has fewer images")


def parse(parts: str) -> list[tuple[Fraction, str]]:
    """Returns the weights and the names of the sources of a mixture.

    Args:
      parts: What follows `mix:`, such as `0.7*tfds:a+0.3*folder:b`.

    Raises:
      UserError: If it is not of this form, a weight is 0, or there is one source only.
    """
    found = []
    for part in _SEPARATOR.split(parts):
        match = _PART.fullmatch(part)
        if match is None:
            raise UserError(f"{part!r} is not WEIGHT*SOURCE, such as 0.5*folder:DIR")
        weight, source = Fraction(match[1]), match[2]
        if not weight:
            raise UserError(f"the weight of {source} must be above 0")
        if source.startswith(f"{KIND}:"):
            raise UserError(f"a mixture cannot hold another one, {source}")
        found.append((weight, source))
    if len(found) < 2:
        raise UserError("a mixture needs two sources or more")
    period_counts([weight for weight, _ in found])
    return found


def period_counts(weights: Sequence[Fraction]) -> tuple[int, ...]:
    """Returns the smallest integers that are in proportion to weights.

    Raises:
      UserError: If their sum is above `LONGEST_PERIOD`.
    """
    denominator = math.lcm(*(weight.denominator for weight in weights))
    integers = [int(weight * denominator) for weight in weights]
    divisor = math.gcd(*integers)
    counts = tuple(integer // divisor for integer in integers)
    if sum(counts) > LONGEST_PERIOD:
        raise UserError(
            f"the weights repeat after {sum(counts):,} images, which must be at most "
            f"{LONGEST_PERIOD:,}: give them fewer digits"
        )
    return counts


def turns(counts: Sequence[int]) -> list[int]:
    """Returns the number of the source at each position of a period.

    Turn k of a source with n turns is due at (2 k + 1) / (2 n) of the period, so the
    turns of each source are spread evenly. Of turns that are due together, that of the
    first source comes first.

    Args:
      counts: Turns of each source in a period.
    """
    due = [
        (Fraction(2 * turn + 1, 2 * count), source)
        for source, count in enumerate(counts)
        for turn in range(count)
    ]
    return [source for _, source in sorted(due)]


def source_seeds(seed: int, number: int) -> list[int]:
    """Returns a seed for each source of a mixture, which follow from one.

    Args:
      seed: Seed of the mixture.
      number: Number of sources.
    """
    return [
        int(np.random.SeedSequence(seed, spawn_key=(source,)).generate_state(1)[0])
        for source in range(number)
    ]
