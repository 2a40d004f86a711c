"""What a set of evaluations shows, as tables and as curves to draw."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation import curves, plots
from jaxcorr.evaluation.bjontegaard import LEAST_POINTS, Interpolation
from jaxcorr.evaluation.curves import Comparison, Family
from jaxcorr.evaluation.evaluations import Evaluation
from jaxcorr.evaluation.plots import Curve, Spot

HISTORY = "held_out.jsonl"
KODAK = {f"kodim{number:02}" for number in range(1, 25)}
Label = Callable[[Evaluation], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table; its first column holds names, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_markdown(self) -> str:
        """The table in Markdown."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = [self.columns, rule, *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """Evaluations, as curves, against an anchor.

    Attributes:
      evaluations: All of them.
      label: Names the curve that an evaluation is on.
      families: The curves.
      published: Curves of others on the same images.
      anchor: What is compared with; None if there is nothing to compare with.
      comparisons: In PSNR and in MS-SSIM, by the name of the curve; what cannot be
        compared is missing.
      notes: What makes comparisons doubtful, or impossible.
      interpolation: Between points.
    """

    evaluations: Sequence[Evaluation]
    label: Label
    families: Sequence[Family]
    published: Sequence[Family]
    anchor: Family | None
    comparisons: dict[str, dict[curves.Quality, Comparison]]
    notes: tuple[str, ...]
    interpolation: Interpolation


def find(
    found: Sequence[Evaluation], *, anchor: str | None, interpolation: Interpolation
) -> Findings:
    """Groups evaluations into curves and compares these with an anchor.

    Raises:
      UserError: If the anchor that is named is not one curve, or none can be compared
        with it.
    """
    families = curves.families(found)
    published = curves.published() if _are_kodak(found) else []
    every = [*families, *published]
    chosen = curves.find(anchor, every) if anchor else _default_anchor(found, every)
    comparisons: dict[str, dict[curves.Quality, Comparison]] = {}
    notes: list[str] = []
    for family in every if chosen else []:
        assert chosen is not None
        if family is chosen:
            continue
        try:
            compared = curves.compare(chosen, family, "psnr_db", interpolation)
            comparisons[family.name] = {"psnr_db": compared}
            notes += compared.warnings
        except UserError as error:
            notes.append(str(error))
            continue
        try:
            compared = curves.compare(chosen, family, "ms_ssim_db", interpolation)
            comparisons[family.name]["ms_ssim_db"] = compared
        except (UserError, ValueError):
            continue  # Many published curves have no MS-SSIM; the table says so.
    if anchor and not comparisons:
        raise UserError(notes[0] if notes else f"nothing to compare with {anchor}")
    return Findings(
        evaluations=found,
        label=curves.labels(found),
        families=families,
        published=published,
        anchor=chosen if comparisons else None,
        comparisons=comparisons,
        notes=tuple(dict.fromkeys(notes)),
        interpolation=interpolation,
    )


def points(found: Sequence[Evaluation], label: Label) -> Table:
    """Means of each evaluation, by curve and rate."""
    columns = {
        "bpp": "{:.4f}",
        "bpp_y": "{:.4f}",
        "bpp_z": "{:.4f}",
        "bpp_header": "{:.4f}",
        "psnr_db": "{:.2f}",
        "ms_ssim": "{:.4f}",
        "correlation": "{:.4f}",
        "encode_seconds": "{:.2f}",
        "decode_seconds": "{:.2f}",
    }
    shown = ("bpp", "y", "z", "header", "PSNR dB", "MS-SSIM", "correlation")
    first_of_curve = {
        label(each): index for index, each in reversed([*enumerate(found)])
    }
    order = sorted(
        found, key=lambda each: (first_of_curve[label(each)], each.mean["bpp"])
    )
    return Table(
        columns=("curve", "λ or quality", "seed", *shown, "encode s", "decode s"),
        rows=tuple(
            (
                label(each),
                _number(each.distortion_weight or each.model.get("quality")),
                _number(each.seed),
                *(_cell(each.mean.get(name), form) for name, form in columns.items()),
            )
            for each in order
        ),
    )


def bd_table(findings: Findings) -> Table:
    """BD-rate and BD-PSNR of every curve, the best first, with their sources."""
    rows = []
    sources = {family.name: family.source for family in findings.published}
    ranked = sorted(
        findings.comparisons.items(),
        key=lambda item: np.mean(item[1]["psnr_db"].rates),
    )
    for name, by_quality in ranked:
        in_psnr, in_ms_ssim = by_quality["psnr_db"], by_quality.get("ms_ssim_db")
        rows.append(
            (
                name,
                _spread(in_psnr.rates, "{:+.2f}"),
                _spread(in_psnr.qualities, "{:+.2f}"),
                _spread(in_ms_ssim.rates, "{:+.2f}") if in_ms_ssim else "-",
                sources.get(name, "measured here"),
            )
        )
    return Table(
        columns=("curve", "BD-rate %", "BD-PSNR dB", "BD-rate % (MS-SSIM)", "source"),
        rows=tuple(rows),
    )


def complexity(findings: Findings) -> tuple[list[Spot], Table]:
    """Rate saved against the anchor, and the time to encode and decode an image."""
    spots = []
    for family in findings.families:
        compared = findings.comparisons.get(family.name)
        saved = -float(np.mean(compared["psnr_db"].rates)) if compared else 0.0
        is_anchor = findings.anchor is not None and family.name == findings.anchor.name
        if family.seconds is not None and (compared or is_anchor):
            spots.append(Spot(name=family.name, seconds=family.seconds, saved=saved))
    paper, _ = papers_complexity()
    lines = [(spot, "measured here") for spot in spots]
    lines += [(spot, "the paper") for spot in paper]
    rows = tuple(
        (spot.name, f"{spot.saved:.2f}", f"{spot.seconds:.2f}", where)
        for spot, where in lines
    )
    table = Table(columns=("curve", "rate saved %", "seconds", "where"), rows=rows)
    return spots, table


def papers_complexity() -> tuple[list[Spot], str]:
    """The paper's table of complexity, and where it is from."""
    paper = curves.published_facts()["paper"]
    spots = [Spot(name=n, saved=saved, seconds=s) for n, saved, s in paper["rows"]]
    return spots, paper["source"]


def effects(found: Sequence[Evaluation], label: Label) -> Table:
    """Each model with the loss against the same without it."""
    rows = []
    for each in found:
        base = curves.without_loss(each, found)
        if base is None:
            continue
        rows.append(
            (
                label(each),
                _number(each.distortion_weight),
                _number(each.seed),
                f"{100 * (each.cost / base.cost - 1):+.2f}",
                f"{each.cost - base.cost:+.4f}",
                *(_change(each, base, name) for name in ("bpp_y", "bpp_z", "bpp")),
                f"{_mean(each, 'psnr_db') - _mean(base, 'psnr_db'):+.2f}",
                _cell(base.mean.get("correlation"), "{:.4f}"),
                _cell(each.mean.get("correlation"), "{:.4f}"),
            )
        )
    return Table(
        columns=(
            *("model", "λ", "seed", "cost %", "cost bpp", "y %", "z %", "bpp %"),
            *("PSNR dB", "correlation without", "with"),
        ),
        rows=tuple(rows),
    )


def against_weight(
    found: Sequence[Evaluation],
) -> tuple[list[Curve], list[Curve], float]:
    """For each λ with three or more α: correlation and change of cost against α.

    Returns:
      Curves of the correlation, curves of the change, and the smallest α above 0.
    """
    groups: dict[tuple, dict[float, list[Evaluation]]] = {}
    for each in found:
        if each.trained and each.correlation_weight is not None:
            key = (each.distortion_weight, repr(sorted(each.settings.items())))
            weights = groups.setdefault(key, {})
            weights.setdefault(each.correlation_weight, []).append(each)
    correlations, changes, smallest = [], [], np.inf
    for (distortion_weight, _), weights in sorted(groups.items()):
        if len(weights) < 3:
            continue
        alphas = np.array(sorted(weights))
        smallest = min(smallest, alphas[alphas > 0].min())
        name = f"λ = {distortion_weight:g}"
        means = [_average(e.mean["correlation"] for e in weights[a]) for a in alphas]
        correlations.append((name, alphas, np.array(means)))
        if 0 in weights:
            change = [
                _average(
                    100 * (each.cost / base.cost - 1)
                    for each in weights[alpha]
                    if (base := curves.without_loss(each, found)) is not None
                )
                for alpha in alphas[alphas > 0]
            ]
            changes.append((name, alphas, np.array([0.0, *change])))
    return correlations, changes, float(smallest)


def histories(
    found: Sequence[Evaluation], label: Label
) -> tuple[list[Curve], list[Curve]]:
    """Objective on held-out crops against steps, and how the loss changes it.

    Where there are seeds, the first of them.
    """
    losses, changes = [], []
    known = {id(each): _history(each) for each in found if each.trained}
    first_seeds = {(label(e), e.distortion_weight): e for e in reversed(found)}
    for each in first_seeds.values():
        history = known.get(id(each))
        if not history:
            continue
        name = f"{label(each)}, λ = {each.distortion_weight:g}"
        steps = np.array(sorted(history))
        losses.append((name, steps, np.array([history[step] for step in steps])))
        base = curves.without_loss(each, found)
        if base is not None and known.get(id(base)):
            _, shared, change = plots.relative(history, known[id(base)])
            changes.append((name, shared, change))
    return losses[::-1], changes[::-1]


def _history(each: Evaluation) -> dict[int, float]:
    """Bpp + λ MSE on held-out crops, by step, from beside the evaluation."""
    path = each.path.parent / HISTORY
    if not path.is_file():
        return {}
    number = _member(each.path)
    lines = map(json.loads, path.read_text().splitlines())
    return {
        line["step"]: line["rate_distortion"]
        for line in lines
        if line.get("member", 0) == number
    }


def _member(path: Path) -> int:
    _, _, number = path.stem.rpartition("@")
    return int(number) if "@" in path.stem and number.isdigit() else 0


def _are_kodak(found: Sequence[Evaluation]) -> bool:
    return {Path(row["file"]).stem for row in found[0].images} == KODAK


def _default_anchor(
    found: Sequence[Evaluation], every: Sequence[Family]
) -> Family | None:
    """The first curve without the loss that is long enough, else any."""
    label = curves.labels(found)
    plain = {label(each) for each in found if each.correlation_weight == 0}
    long_enough = [
        family
        for family in every
        if max(map(len, family.series.values())) >= LEAST_POINTS
    ]
    return next((f for f in long_enough if f.name in plain), None) or next(
        iter(long_enough), None
    )


def _spread(values: Sequence[float], form: str) -> str:
    mean = form.format(float(np.mean(values)))
    if len(values) == 1:
        return mean
    return f"{mean} ({form.format(min(values))} to {form.format(max(values))})"


def _change(each: Evaluation, base: Evaluation, name: str) -> str:
    before, after = base.mean.get(name), each.mean.get(name)
    if not before or after is None:
        return "-"
    return f"{100 * (after / before - 1):+.1f}"


def _mean(each: Evaluation, name: str) -> int | float:
    value = each.mean[name]
    assert value is not None
    return value


def _average(values: Iterable[int | float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _number(value: int | float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _cell(value: int | float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
