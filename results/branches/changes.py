"""Prints what the arms of `study.py` changed.

    python results/branches/changes.py

The cost of an image is bpp + λ MSE. The change by an arm, in percent, is the mean over
images of the logarithm of the ratio of two costs: of the arm, and of the arm without
the loss from the same checkpoint. Tables have the mean over the pairs and, if there are
several, half of the 95 % interval of Student's t over them. Beside it is the change of
the bits at equal MSE on Kodak, to first order.

The first table is of all arms. Its last columns are means over the images of BSDS500's
validation set, without the loss and in the arm: the correlation loss L of an image, the
share of it that vanishes if each channel loses its mean over the image (the offset),
and the mean v of the squared normalized latents. The second table compares arms with
each other, and the third shows each checkpoint.
"""

import dataclasses
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import study
import whole_images
from scipy import stats

from jaxcorr.report.tables import Table

SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
BASE, CONFIDENCE = "published 0", 0.95
FORMS = {"correlation": ".4f", "offset": ".0%", "normalized_square": ".2f"}
"""Formats of the statistics of an arm that are printed."""
TITLES = {
    "annealed 0": "annealed 4 to 0",
    "noise 0": "no loss, other noise",
    "crops 0": "no loss, crops of 128",
}
"""Arms whose α alone does not describe them."""
CONTRASTS = (
    ("none", "annealed 0", "published 4"),
    ("checkerboard", "masked 1", "published 1"),
)
"""A trunk and two arms from it, of which the first is compared with the second."""

Key = tuple[str, float, str]
"""Trunk, λ and arm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm from one checkpoint, on one set of images.

    Attributes:
      trunk: Name of the trunk.
      rate: λ.
      name: Name of the arm, with its α.
      images: Set of images.
      step: Checkpoint that it branches from.
      costs: Cost of each image, in bits per pixel.
      bits: Bits per pixel of each image.
      correlation: Correlation loss, as a mean over the images.
      offset: Share of it that offsets of the channels cause.
      normalized_square: Mean of the squared normalized latents, likewise.
    """

    trunk: str
    rate: float
    name: str
    images: str
    step: int
    costs: tuple[float, ...]
    bits: tuple[float, ...]
    correlation: float
    offset: float
    normalized_square: float

    @property
    def key(self) -> Key:
        """Returns what all pairs of an arm share."""
        return self.trunk, self.rate, self.name


def main() -> None:
    """Prints the tables in Markdown."""
    for table in (comparison(), contrasts(), by_checkpoint()):
        print(table.as_markdown(), end="\n\n")


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images.

    Raises:
      SystemExit: If nothing was measured.
    """
    pairs = arm_pairs()
    if not pairs:
        sys.exit(f"{study.FOLDER} has no table of an arm: run study.py")
    sets = measured_sets(pairs)
    return Table(
        columns=(
            *("trunk", "λ", "arm and α", "pairs"),
            *(SETS[name] for name in sets),
            *(f"bits, {SETS[name]}" for name in sets if name == "kodak"),
            *("L", "offset", "v"),
        ),
        rows=tuple(
            (*titles(*key), *cells(group, sets)) for key, group in pairs.items()
        ),
    )


def contrasts() -> Table:
    """Returns the change of the cost by an arm against another one with the loss."""
    pairs = arm_pairs()
    sets = measured_sets(pairs)
    rows = []
    for trunk, name, other in CONTRASTS:
        for rate in study.WEIGHTS:
            arms = arms_of(pairs, (trunk, rate, name))
            others = {
                place_of(arm): arm for arm in arms_of(pairs, (trunk, rate, other))
            }
            both = [
                (others[place_of(arm)], arm) for arm in arms if place_of(arm) in others
            ]
            if both:
                row = titles(trunk, rate, name)
                rows.append((*row, other, *(interval(both, images) for images in sets)))
    columns = ("trunk", "λ", "arm and α", "against", *(SETS[name] for name in sets))
    return Table(columns=columns, rows=tuple(rows))


def by_checkpoint() -> Table:
    """Returns the change of the cost by each arm from each checkpoint, on BSDS500."""
    pairs = arm_pairs()
    rows = []
    for key, group in pairs.items():
        ours = sorted(
            (arm.step, change(arm, base)) for base, arm in group if arm.images == "val"
        )
        if len(ours) > 1:
            steps, changes = zip(*ours, strict=True)
            listed = ", ".join(f"{value:+.2f}" for value in changes)
            rows.append((*titles(*key), ", ".join(map(str, steps)), f"{listed} %"))
    columns = ("trunk", "λ", "arm and α", "steps of the trunk", SETS["val"])
    return Table(columns=columns, rows=tuple(rows))


def arm_pairs() -> dict[Key, list[tuple[Arm, Arm]]]:
    """Returns each arm with the arm without the loss from the same checkpoint.

    Returns:
      By trunk, λ and name of the arm: the arm without the loss, and the arm.
    """
    arms = list(read_arms())
    base = {(arm.trunk, arm.rate, *place_of(arm)): arm for arm in arms if is_base(arm)}
    pairs: dict[Key, list[tuple[Arm, Arm]]] = {}
    for arm in arms:
        place = arm.trunk, arm.rate, *place_of(arm)
        if not is_base(arm) and place in base:
            pairs.setdefault(arm.key, []).append((base[place], arm))
    return pairs


def arms_of(pairs: dict[Key, list[tuple[Arm, Arm]]], key: Key) -> list[Arm]:
    """Returns all measurements of an arm."""
    return [arm for _, arm in pairs.get(key, [])]


def is_base(arm: Arm) -> bool:
    """Returns whether an arm is the one without the loss."""
    return arm.name == BASE


def place_of(arm: Arm) -> tuple[str, int]:
    """Returns the images and the checkpoint of an arm."""
    return arm.images, arm.step


def titles(trunk: str, rate: float, name: str) -> tuple[str, str, str]:
    """Returns the first cells of a row."""
    return trunk, f"{rate:g}", TITLES.get(name, name)


def measured_sets(pairs: dict[Key, list[tuple[Arm, Arm]]]) -> list[str]:
    """Returns the names of the sets of images that any arm was measured on."""
    measured = {arm.images for group in pairs.values() for _, arm in group}
    return [name for name in SETS if name in measured]


def cells(pairs: list[tuple[Arm, Arm]], sets: Sequence[str]) -> Iterator[str]:
    """Yields the number of pairs, their changes, and the statistics."""
    first = [pair for pair in pairs if pair[0].images == sets[0]]
    yield str(len(first))
    for images in sets:
        yield interval(pairs, images)
    if "kodak" in sets:
        yield interval(pairs, "kodak", change_of_bits)
    for name, form in FORMS.items():
        before, after = (
            statistics.mean(getattr(arm, name) for arm in arms)
            for arms in zip(*first, strict=True)
        )
        yield f"{before:{form}} to {after:{form}}"


def read_arms() -> Iterator[Arm]:
    """Yields every arm that was measured."""
    for trunk, settings in study.TRUNKS.items():
        for rate in study.WEIGHTS:
            for name in settings.arms:
                pattern = f"{trunk}-*-{rate:g}-{name}/*.csv"
                for table in sorted(study.FOLDER.glob(pattern)):
                    yield from read_table(table, trunk, rate, name)


def read_table(table: Path, trunk: str, rate: float, name: str) -> Iterator[Arm]:
    """Yields the arms of a table, one for each α."""
    rows = whole_images.read(table)
    for weight in sorted({row.weight for row in rows}):
        images = [row for row in rows if row.weight == weight]
        correlation = statistics.mean(row.correlation for row in images)
        centered = statistics.mean(row.centered for row in images)
        bits = [row.bpp_y + row.bpp_z for row in images]
        costs = [x + rate * row.mse for x, row in zip(bits, images, strict=True)]
        yield Arm(
            trunk=trunk,
            rate=rate,
            name=f"{name} {weight:g}",
            images=table.stem,
            step=int(table.parent.name.split("-")[1]),
            costs=tuple(costs),
            bits=tuple(bits),
            correlation=correlation,
            offset=1 - centered / correlation if correlation else 0.0,
            normalized_square=statistics.mean(row.normalized_square for row in images),
        )


def change(arm: Arm, base: Arm) -> float:
    """Returns the mean change of the cost, in percent."""
    pairs = zip(arm.costs, base.costs, strict=True)
    return 100 * statistics.mean(math.log(cost / other) for cost, other in pairs)


def change_of_bits(arm: Arm, base: Arm) -> float:
    """Returns the mean change of the bits at equal MSE, in percent, to first order.

    A change of the cost of an image is divided by the share of its bits. The codec
    trades bits for MSE at the slope -λ, as a converged one does.
    """
    images = zip(arm.costs, base.costs, base.bits, strict=True)
    return 100 * statistics.mean(
        math.log(cost / other) * other / bits for cost, other, bits in images
    )


def interval(
    pairs: list[tuple[Arm, Arm]],
    images: str,
    measure: Callable[[Arm, Arm], float] = change,
) -> str:
    """Returns the mean change on a set of images and half of its interval, as text."""
    changes = [measure(arm, base) for base, arm in pairs if base.images == images]
    if not changes:
        return "-"
    mean = f"{statistics.mean(changes):+.2f}"
    return (
        f"{mean} %" if len(changes) == 1 else f"{mean} ± {half_interval(changes):.2f} %"
    )


def half_interval(changes: list[float]) -> float:
    """Returns half of the interval of the mean over pairs; NaN for one pair."""
    if len(changes) == 1:
        return math.nan
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    return error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(changes) - 1))


if __name__ == "__main__":
    main()
