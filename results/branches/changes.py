"""Prints what the arms of `study.py` changed.

    python results/branches/changes.py

prints five tables: the answer in short, all arms, some arms against others, changes of
bits and MSE on Kodak, and each checkpoint. `arms.py` compares two arms. Tables have the
mean over the pairs and, if there are several, half of the 95 % interval of Student's t
over them.

The table of all arms has means over the images of BSDS500's validation set, without
the loss and in the arm: the correlation loss L of an image, the share of it that
vanishes if each channel loses its mean over the image (the offset), and the mean v of
the squared normalized latents.
"""

import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import arms
import jax.numpy as jnp
import numpy as np
import study
from arms import Key, Pair
from scipy import stats

from jaxcorr.metrics import image_quality
from jaxcorr.report.tables import Table

SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
CONFIDENCE = 0.95
FIRST_ORDER = 5.0
"""Change of the cost, in percent, beyond which bits to first order mean nothing."""
FORMS = {"correlation": ".4f", "offset": ".0%", "normalized_square": ".2f"}
"""Formats of the statistics of an arm that are printed."""
TITLES = {
    "annealed 0": "annealed 4 to 0",
    "noise 0": "no loss, other noise",
    "crops 0": "no loss, crops of 128",
}
"""Arms whose α alone does not describe them."""
TRUNKS = {
    "none": "hyperprior",
    "charm": "ChARM",
    "checkerboard": "checkerboard",
    "autoregressive": "autoregressive",
}
"""Trunks of the answer in short, in their order there."""
ARMS = ("published 1", "whitening 1", "masked 1")
"""Arms of the answer in short, and those of which parts and checkpoints are printed."""
CONTRASTS = (
    ("none", "whitening 1", "published 1"),
    ("charm", "whitening 1", "published 1"),
    ("none", "annealed 0", "published 4"),
    ("none", "annealed 0", "published 1"),
    ("charm", "annealed 0", "published 1"),
    ("checkerboard", "masked 1", "published 1"),
)
"""A trunk and two arms from it, of which the first is compared with the second."""


def main() -> None:
    """Prints the tables in Markdown."""
    for table in (answer(), comparison(), contrasts(), parts(), by_checkpoint()):
        print(table.as_markdown(), end="\n\n")


def answer() -> Table:
    """Returns the change of the cost by the main arms, with a row for each trunk."""
    pairs = measured_pairs()
    columns = [(name, rate) for name in ARMS for rate in study.WEIGHTS]
    return Table(
        columns=(
            "codec",
            *(f"{name.split()[0]}, λ {rate:g}" for name, rate in columns),
        ),
        rows=tuple(
            (
                title,
                *(
                    interval(arms.on("val", pairs.get((trunk, rate, name), ())))
                    for name, rate in columns
                ),
            )
            for trunk, title in TRUNKS.items()
        ),
    )


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images."""
    pairs = measured_pairs()
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
    pairs = measured_pairs()
    sets = measured_sets(pairs)
    rows = []
    for trunk, name, other in CONTRASTS:
        for rate in study.WEIGHTS:
            others = {arm.place: arm for _, arm in pairs.get((trunk, rate, other), ())}
            both = [
                (others[arm.place], arm)
                for _, arm in pairs.get((trunk, rate, name), ())
                if arm.place in others
            ]
            if both:
                changes = (interval(arms.on(images, both)) for images in sets)
                rows.append((*titles(trunk, rate, name), other, *changes))
    columns = ("trunk", "λ", "arm and α", "against", *(SETS[name] for name in sets))
    return Table(columns=columns, rows=tuple(rows))


def parts() -> Table:
    """Returns the changes of bits and MSE by the main arms, on Kodak."""
    rows = []
    for key, group in main_pairs():
        pairs = arms.on("kodak", group)
        if not pairs:
            continue
        bases = [base for base, _ in pairs]
        bpp = statistics.mean(float(arms.bits(base).mean()) for base in bases)
        psnr = statistics.mean(
            float(image_quality.psnr_from_mse(jnp.asarray(base.values("mse"))).mean())
            for base in bases
        )
        values = [arms.measurement(name) for name in ("bpp_y", "bpp_z", "mse")]
        rows.append(
            (
                *(*titles(*key), f"{bpp:.3f}", f"{psnr:.2f}"),
                *(
                    interval(pairs, lambda pair, v=v: arms.change(pair, v))
                    for v in values
                ),
                f"{image_error(pairs):.2f} %",
            )
        )
    return Table(
        columns=(
            *("trunk", "λ", "arm and α", "bpp without", "PSNR without (dB)"),
            *("bits of y", "bits of z", "MSE", "error of the cost over images"),
        ),
        rows=tuple(rows),
    )


def by_checkpoint() -> Table:
    """Returns the change of the cost by the main arms from each checkpoint."""
    rows = []
    for key, group in main_pairs():
        pairs = sorted(arms.on("val", group), key=lambda pair: pair[1].step)
        if len(pairs) > 1:
            steps = ", ".join(str(arm.step) for _, arm in pairs)
            changes = ", ".join(f"{arms.change(pair):+z.2f}" for pair in pairs)
            rows.append((*titles(*key), steps, f"{changes} %"))
    columns = ("trunk", "λ", "arm and α", "steps of the trunk", SETS["val"])
    return Table(columns=columns, rows=tuple(rows))


def measured_pairs() -> dict[Key, list[Pair]]:
    """Returns the pairs of each arm.

    Raises:
      SystemExit: If nothing was measured.
    """
    pairs = arms.arm_pairs()
    if not pairs:
        sys.exit(f"{study.FOLDER} has no table of an arm: run study.py")
    return pairs


def main_pairs() -> Iterator[tuple[Key, list[Pair]]]:
    """Yields the pairs of the main arms."""
    for key, group in measured_pairs().items():
        if key[-1] in ARMS:
            yield key, group


def titles(trunk: str, rate: float, name: str) -> tuple[str, str, str]:
    """Returns the first cells of a row."""
    return trunk, f"{rate:g}", TITLES.get(name, name)


def measured_sets(pairs: dict[Key, list[Pair]]) -> list[str]:
    """Returns the names of the sets of images that any arm was measured on."""
    measured = {arm.images for group in pairs.values() for _, arm in group}
    return [name for name in SETS if name in measured]


def cells(pairs: list[Pair], sets: Sequence[str]) -> Iterator[str]:
    """Yields the number of pairs, their changes, and the statistics."""
    first = arms.on(sets[0], pairs)
    yield str(len(first))
    for images in sets:
        yield interval(arms.on(images, pairs))
    if "kodak" in sets:
        kodak = arms.on("kodak", pairs)
        is_small = kodak and mean_of(kodak, arms.change) <= FIRST_ORDER
        yield interval(kodak, arms.change_of_bits) if is_small else "-"
    for name, form in FORMS.items():
        before, after = (
            statistics.mean(
                arm.offset if name == "offset" else arm.mean(name) for arm in group
            )
            for group in zip(*first, strict=True)
        )
        yield f"{before:{form}} to {after:{form}}"


def interval(
    pairs: Sequence[Pair], measure: Callable[[Pair], float] = arms.change
) -> str:
    """Returns the mean change and half of its interval, as text."""
    if not pairs:
        return "-"
    mean = f"{mean_of(pairs, measure):+z.2f}"
    half = half_interval(map(measure, pairs))
    return f"{mean} %" if math.isnan(half) else f"{mean} ± {half:.2f} %"


def mean_of(pairs: Sequence[Pair], measure: Callable[[Pair], float]) -> float:
    """Returns the mean of a change over pairs."""
    return statistics.mean(map(measure, pairs))


def half_interval(changes: Iterable[float]) -> float:
    """Returns half of the interval of the mean over pairs; NaN for one pair."""
    values = list(changes)
    if len(values) == 1:
        return math.nan
    error = statistics.stdev(values) / math.sqrt(len(values))
    return error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))


def image_error(pairs: Sequence[Pair]) -> float:
    """Returns the standard error of the change of the cost over images, in percent."""
    images = np.mean([arms.logarithms(pair) for pair in pairs], axis=0)
    return 100 * float(np.std(images, ddof=1)) / math.sqrt(len(images))


if __name__ == "__main__":
    main()
