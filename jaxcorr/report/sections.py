"""Sections of a report: prose with a table, a figure or both."""

import dataclasses
from collections.abc import Set

from matplotlib.figure import Figure

from jaxcorr.evaluation import measure
from jaxcorr.report import ablation, complexity, plots, tables
from jaxcorr.report.comparison import AnchorComparison
from jaxcorr.report.rd_curves import Kind, Quality
from jaxcorr.report.tables import Table

FIGURE_FILES = {
    "psnr_db": "rate_psnr.png",
    "ms_ssim_db": "rate_ms_ssim.png",
    "weights": "weights.png",
    "complexity": "complexity.png",
    "training": "training.png",
}
"""File name of each figure."""

QUALITIES: dict[Quality, tuple[str, str]] = {
    "psnr_db": ("PSNR", "PSNR (dB)"),
    "ms_ssim_db": ("MS-SSIM", "MS-SSIM (dB: -10 log10(1 - MS-SSIM))"),
}
"""Name and axis label of each quality."""

DRAWN_PUBLISHED = (
    "JPEG (4:2:0, Pillow)",
    "WebP",
    "BPG 4:4:4",
    "VTM (VVC)",
    "mean-scale hyperprior",
    "mean-scale hyperprior + AR",
    "Cheng anchor + AR",
)
"""Published curves in the figures; the tables contain all published curves."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a report.

    Attributes:
      title: Title of the section.
      text: Markdown text below the title.
      table: Table at the end of the section, if any.
      figure: File name and figure below the text, if any.
    """

    title: str
    text: str
    table: Table | None = None
    figure: tuple[str, Figure] | None = None


def make_sections(comparison: AnchorComparison) -> list[Section]:
    """Returns the sections of a report, without those that would be empty."""
    return [
        *_rate_distortion(comparison),
        *_loss_effects(comparison),
        *_weight_studies(comparison),
        *_bd_rates(comparison),
        *_complexity(comparison),
        *_training(comparison),
        Section(
            title="Points",
            text="Means over the images. Bits per pixel are those of the real files, "
            "header included; y is the latents and z the side information. "
            "Correlation is the loss of the decoded latents of an image in a 7x7 "
            "window. Times depend on the other load of the machine."
            + _describe_devices(comparison)
            + _describe_ms_ssim(comparison),
            table=tables.points(comparison.evaluations, comparison.label),
        ),
    ]


def _rate_distortion(comparison: AnchorComparison) -> list[Section]:
    kinds: tuple[Kind, ...] = ("model", "classical", "published")
    published = [c for c in comparison.published if c.name in DRAWN_PUBLISHED]
    curves = [*comparison.curves, *published]
    sections = []
    for quality, (name, axis_label) in QUALITIES.items():
        lines: dict[Kind, plots.Lines] = {
            kind: {
                curve.name: curve.lines(quality)
                for curve in curves
                if curve.kind == kind and curve.lines(quality)
            }
            for kind in kinds
        }
        if not lines["model"] and not lines["classical"]:
            continue
        figure = plots.rate_distortion(
            *(lines["model"], lines["classical"], lines["published"]),
            quality=axis_label,
        )
        sections.append(
            Section(
                title=f"Rate and {name}",
                text=_describe_lines({kind for kind in lines if lines[kind]})
                + (_describe_ms_ssim(comparison) if quality == "ms_ssim_db" else ""),
                figure=(FIGURE_FILES[quality], figure),
            )
        )
    return sections


def _describe_lines(kinds: Set[Kind]) -> str:
    """Returns the description of a figure with curves of some kinds."""
    text = "Every point that was measured is within the axes."
    if "model" in kinds:
        text += " Models are in color, with one line per training seed."
    if "classical" in kinds:
        text += " Classical codecs are in dark gray."
    if "published" in kinds:
        text += (
            " Published curves are in light gray, where they are within the axes; the "
            "table of BD-rates names their sources."
        )
    return text


def _describe_ms_ssim(comparison: AnchorComparison) -> str:
    """Returns a sentence if some images are too small for MS-SSIM."""
    for evaluation in comparison.evaluations:
        images = evaluation.images
        large = len(measure.with_ms_ssim(images))
        if 0 < large < len(images):
            return (
                f" MS-SSIM is the mean of {large} of {len(images)} images, those that "
                "are large enough; its figure and its BD-rates have the rates of these."
            )
    return ""


def _describe_devices(comparison: AnchorComparison) -> str:
    """Returns a sentence on the devices that times were measured on, if known."""
    devices = tables.devices(comparison.evaluations)
    if devices in ([], [tables.UNKNOWN_DEVICE]):
        return ""
    if len(devices) == 1:
        return f" Times here were measured on {devices[0]}."
    names = "; ".join(devices)
    return f" Times here are of several devices and do not compare: {names}."


def _loss_effects(comparison: AnchorComparison) -> list[Section]:
    table = tables.loss_effects(comparison.evaluations, comparison.label)
    if not table.rows:
        return []
    return [
        Section(
            title="What the loss changes",
            text="Each model against the model that was trained in the same way, with "
            "the same seed, but without the loss. The cost is bpp + λ MSE of the "
            "files. The held-out cost is an estimate of the entropy model on the last "
            "held-out images of the training, which resemble the training images. The "
            "correlation is the median over the images.",
            table=table,
        )
    ]


def _weight_studies(comparison: AnchorComparison) -> list[Section]:
    studies = ablation.weight_studies(comparison.evaluations)
    if not studies:
        return []
    correlations, cost_changes = (
        [
            plots.Series(
                name=study.name,
                x=study.correlation_weights,
                y=getattr(study, values),
                hue=study.distortion_weight,
            )
            for study in studies
        ]
        for values in ("correlations", "cost_changes")
    )
    return [
        Section(
            title="Weight of the loss",
            text="Correlation that remains in the decoded latents (median over the "
            "images), and cost against the same training without the loss. One point "
            "per model.",
            figure=(
                FIGURE_FILES["weights"],
                plots.weights(correlations, cost_changes),
            ),
        )
    ]


def _bd_rates(comparison: AnchorComparison) -> list[Section]:
    notes = "\n".join(f"- {note}" for note in comparison.notes)
    if comparison.anchor is None:
        return [Section(title="BD-rate", text=notes)] if notes else []
    text = (
        f"Against **{comparison.anchor.name}**: rate at equal quality (negative: fewer "
        "bits) and quality at equal rate, by "
        f"{comparison.interpolation} interpolation. Each seed is compared with the "
        "same seed of the anchor; the table has the mean and the range. Differences of "
        "curves that share less than half of their range are not reliable, and with "
        "less than a quarter they are left out."
    )
    return [
        Section(
            title="BD-rate",
            text="\n\n".join(filter(None, [text, notes])),
            table=tables.bd_table(comparison),
        )
    ]


def _complexity(comparison: AnchorComparison) -> list[Section]:
    measured = complexity.measured_complexity(comparison)
    if comparison.anchor is None or len(measured) < 2:
        return []
    published, source = complexity.published_complexity()
    figure = plots.complexity(
        {point.name: (point.seconds, point.saved) for point in measured},
        {point.name: (point.seconds, point.saved) for point in published},
        measured_anchor=comparison.anchor.name,
        published_anchor="the Cheng hyperprior",
    )
    return [
        Section(
            title="Rate saved and time to code",
            text=f"Beside the values printed in the paper ({source})."
            + _describe_devices(comparison),
            table=tables.complexity(measured, published),
            figure=(FIGURE_FILES["complexity"], figure),
        )
    ]


def _training(comparison: AnchorComparison) -> list[Section]:
    costs, changes = (
        [
            plots.Series(
                name=history.name,
                x=history.steps,
                y=history.values,
                hue=history.distortion_weight,
                style=history.curve,
            )
            for history in histories
        ]
        for histories in ablation.held_out_histories(
            comparison.evaluations, comparison.label
        )
    )
    if not costs:
        return []
    return [
        Section(
            title="While training",
            text="bpp + λ MSE on held-out images, estimated by the entropy model, of "
            "models with the loss and the same models without it. Of several seeds, "
            "only the first is drawn. The axis on the right is linear up to 5 %.",
            figure=(FIGURE_FILES["training"], plots.training(costs, changes)),
        )
    ]
