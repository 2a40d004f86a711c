"""Prints what the arms of `study.py` changed.

    python results/branches/changes.py

The cost of an image is bpp + λ MSE. A difference to the arm without the loss that
branches from the same checkpoint is the mean over images of the logarithm of the ratio
of two costs, in percent. The table has the mean over the pairs and, if there are
several, half of the 95 % interval of Student's t over them. Beside it is the share of
the bits in the cost without the loss: divided by it, a change is about that of the bits
at equal MSE. The last columns are of BSDS500's validation set, as means over images,
without the loss and in the arm: the
correlation loss L, the share of it that vanishes if each channel loses its mean over
the image (the offset), and the mean v of the squared normalized latents.
"""

import dataclasses
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import study
import whole_images
from scipy import stats

from jaxcorr.report.tables import Table

SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
BASE, CONFIDENCE = "published", 0.95
FORMS = {"correlation": ".4f", "offset": ".0%", "normalized_square": ".2f"}
"""Formats of the statistics of an arm that are printed."""


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
      bits: Share of the bits in the sum of these costs.
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
    bits: float
    correlation: float
    offset: float
    normalized_square: float


def main() -> None:
    """Prints a table in Markdown."""
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images.

    Raises:
      SystemExit: If nothing was measured.
    """
    pairs = arm_pairs()
    if not pairs:
        sys.exit(f"{study.FOLDER} has no table of an arm: run study.py")
    measured = {arm.images for group in pairs.values() for _, arm in group}
    sets = [name for name in SETS if name in measured]
    return Table(
        columns=(
            *("trunk", "λ", "arm and α", "pairs", "bits of the cost"),
            *(SETS[name] for name in sets),
            *("L without", "with", "offset without", "with", "v without", "with"),
        ),
        rows=tuple(
            (trunk, f"{rate:g}", name, *cells(group, sets))
            for (trunk, rate, name), group in pairs.items()
        ),
    )


def arm_pairs() -> dict[tuple[str, float, str], list[tuple[Arm, Arm]]]:
    """Returns each arm with the arm without the loss from the same checkpoint.

    Returns:
      By trunk, λ and name of the arm: the arm without the loss, and the arm.
    """
    arms = list(read_arms())
    base = {key_of(arm): arm for arm in arms if arm.name == f"{BASE} 0"}
    pairs: dict[tuple[str, float, str], list[tuple[Arm, Arm]]] = {}
    for arm in arms:
        if arm.name != f"{BASE} 0" and key_of(arm) in base:
            group = pairs.setdefault((arm.trunk, arm.rate, arm.name), [])
            group.append((base[key_of(arm)], arm))
    return pairs


def cells(pairs: list[tuple[Arm, Arm]], sets: list[str]) -> Iterator[str]:
    """Yields the changes of the cost on each set, and both statistics."""
    first = [pair for pair in pairs if pair[0].images == sets[0]]
    yield str(len(first))
    yield f"{statistics.mean(base.bits for base, _ in first):.0%}"
    for images in sets:
        group = [pair for pair in pairs if pair[0].images == images]
        yield interval([change(arm, base) for base, arm in group])
    for name, form in FORMS.items():
        for arms in zip(*first, strict=True):
            yield f"{statistics.mean(getattr(arm, name) for arm in arms):{form}}"


def read_arms() -> Iterator[Arm]:
    """Yields every arm that was measured."""
    for name_of_trunk, trunk in study.TRUNKS.items():
        for rate in study.WEIGHTS:
            for name in trunk.arms:
                pattern = f"{name_of_trunk}-*-{rate:g}-{name}/*.csv"
                for table in sorted(study.FOLDER.glob(pattern)):
                    step = int(table.parent.name.split("-")[1])
                    yield from arms_of(table, name_of_trunk, rate, name, step)


def arms_of(
    table: Path, trunk: str, rate: float, name: str, step: int
) -> Iterator[Arm]:
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
            step=step,
            costs=tuple(costs),
            bits=sum(bits) / sum(costs),
            correlation=correlation,
            offset=1 - centered / correlation if correlation else 0.0,
            normalized_square=statistics.mean(row.normalized_square for row in images),
        )


def key_of(arm: Arm) -> tuple[str, float, str, int]:
    """Returns what an arm shares with the arm without the loss."""
    return arm.trunk, arm.rate, arm.images, arm.step


def change(arm: Arm, base: Arm) -> float:
    """Returns the mean change of the cost, in percent."""
    pairs = zip(arm.costs, base.costs, strict=True)
    return 100 * statistics.mean(math.log(cost / other) for cost, other in pairs)


def interval(changes: list[float]) -> str:
    """Returns the mean and half of its interval, as text."""
    if not changes:
        return "-"
    mean = f"{statistics.mean(changes):+.2f}"
    if len(changes) == 1:
        return f"{mean} %"
    return f"{mean} ± {half_interval(changes):.2f} %"


def half_interval(changes: list[float]) -> float:
    """Returns half of the interval of the mean over pairs, which is 0 for one pair."""
    if len(changes) == 1:
        return 0.0
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    return error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(changes) - 1))


if __name__ == "__main__":
    main()
