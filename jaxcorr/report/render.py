"""A report on evaluated codecs: pictures, `report.md`, and one HTML file with all."""

import base64
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxcorr import files
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics.bjontegaard import Interpolation
from jaxcorr.report import ablation, plots, tables
from jaxcorr.report.comparison import AnchorComparison, compare_with_anchor
from jaxcorr.report.rd_curves import Quality
from jaxcorr.report.tables import Table

MARKDOWN, PAGE = "report.md", "report.html"
PLOTS = {
    "psnr_db": "rate_psnr.png",
    "ms_ssim_db": "rate_ms_ssim.png",
    "weights": "weights.png",
    "complexity": "complexity.png",
    "training": "training.png",
}
PICTURES = set(PLOTS.values())

DRAWN_PUBLISHED = (
    *("JPEG (4:2:0, Pillow)", "WebP", "BPG 4:4:4", "VTM (VVC)"),
    *("mean-scale hyperprior", "mean-scale hyperprior + AR", "Cheng anchor + AR"),
)
"""Published curves that pictures show; tables have them all."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
        overflow-x: auto; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ccc; white-space: nowrap; }
img { max-width: 100%; }
code { background: #f2f2f2; padding: 0 0.2rem; overflow-wrap: anywhere; }
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report: prose, and a picture or a table or both."""

    title: str
    text: str
    table: Table | None = None
    figure: tuple[str, Figure] | None = None


def write_report(
    found: Sequence[EvaluationResult],
    directory: Path,
    *,
    anchor: str | None,
    interpolation: Interpolation,
    command: str,
) -> AnchorComparison:
    """Writes the report into a folder, replacing an older one there.

    Args:
      found: The evaluations, all of the same images.
      directory: Where it goes.
      anchor: Name, or part of the name, of the curve to compare with; by default the
        first without the loss that has enough points.
      interpolation: As in `bjontegaard.bd_rate`.
      command: What to say made the report.

    Raises:
      UserError: If the anchor is not one curve or cannot be compared with any, or a
        file cannot be written.
    """
    findings = compare_with_anchor(found, anchor=anchor, interpolation=interpolation)
    text = ["# Report", f"{_subject(found)}. Written by `{command}`."]
    pictures = {}
    for section in _sections(findings):
        text += [f"## {section.title}", section.text]
        if section.figure:
            name, figure = section.figure
            pictures[name] = _png(figure)
            text.append(f"![{section.title}]({name})")
        if section.table:
            text.append(section.table.as_markdown())
    markdown = "\n\n".join(part for part in text if part) + "\n"
    for name in PICTURES - pictures.keys():
        (directory / name).unlink(missing_ok=True)
    for name, data in pictures.items():
        files.write_file(directory / name, data)
    files.write_file(directory / PAGE, _page(markdown, pictures).encode())
    files.write_file(directory / MARKDOWN, markdown.encode())
    return findings


def _sections(findings: AnchorComparison) -> list[Section]:
    """The parts of the report for which there is something to say."""
    return [
        *_rate_distortion(findings),
        *_effects(findings),
        *_compared(findings),
        *_while_training(findings),
        Section(
            title="Points",
            text="Means over the images. Bits per pixel are of real files, header "
            "included; y is latents, z side information. Correlation is the loss of "
            "the decoded latents of an image over 7x7 cells; times depend on what "
            "else the machine did.",
            table=tables.points(findings.evaluations, findings.label),
        ),
    ]


def _rate_distortion(findings: AnchorComparison) -> list[Section]:
    models = [family for family in findings.families if family.kind == "model"]
    classical = [family for family in findings.families if family.kind == "classical"]
    others = [each for each in findings.published if each.name in DRAWN_PUBLISHED]
    ours, behind = (models, [*classical, *others]) if models else (classical, others)
    names: dict[Quality, str] = {"psnr_db": "PSNR", "ms_ssim_db": "MS-SSIM"}
    sections = []
    for quality, name in names.items():
        having = [family for family in ours if family.points(quality)]
        if not having:
            continue
        text = "A line a training seed."
        if behind:
            text += (
                " In grey, classical codecs and curves that others published; sources "
                "are in the table of BD-rates."
            )
        figure = plots.rate_distortion(having, behind, quality)
        sections.append(
            Section(
                title=f"Rate and {name}", text=text, figure=(PLOTS[quality], figure)
            )
        )
    return sections


def _effects(findings: AnchorComparison) -> list[Section]:
    table = tables.effects(findings.evaluations, findings.label)
    if not table.rows:
        return []
    sections = [
        Section(
            title="What the loss changes",
            text="Each model against the one trained in the same way, with the same "
            "seed, without the loss. The cost is bpp + λ MSE, of files, and "
            "by the model's own estimate of the last held-out crops of the training, "
            "which are of the kind trained on; the correlation is the median over the "
            "images.",
            table=table,
        )
    ]
    correlation, cost = ablation.against_weight(findings.evaluations)
    if cost:
        text = (
            "Correlation left in the decoded latents (median over the images), and "
            "cost against the same training without the loss. A point is one model."
        )
        figure = plots.weights(correlation, cost)
        sections.append(
            Section(
                title="How much of the loss",
                text=text,
                figure=(PLOTS["weights"], figure),
            )
        )
    return sections


def _compared(findings: AnchorComparison) -> list[Section]:
    notes = "\n".join(f"- {note}" for note in findings.notes)
    if findings.anchor is None:
        return [Section(title="BD-rate", text=notes)] if notes else []
    text = (
        f"Against **{findings.anchor.name}**: rate at equal quality (negative: fewer "
        f"bits) and quality at equal rate, by {findings.interpolation} interpolation; "
        "each seed against the anchor's same seed, mean and range. Where curves share "
        "less than half of their range, mistrust the figure; less than a quarter has "
        "none."
    )
    sections = [
        Section(
            title="BD-rate",
            text="\n\n".join(filter(None, [text, notes])),
            table=tables.bd_table(findings),
        )
    ]
    ours, table = tables.complexity(findings)
    if len(ours) > 1:
        paper, source = tables.published_complexity()
        figure = plots.complexity(
            ours, paper, findings.anchor.name, "the Cheng hyperprior"
        )
        sections.append(
            Section(
                title="Rate saved and time to code",
                text=f"Beside what the paper printed ({source}).",
                table=table,
                figure=(PLOTS["complexity"], figure),
            )
        )
    return sections


def _while_training(findings: AnchorComparison) -> list[Section]:
    losses, changes = ablation.histories(findings.evaluations, findings.label)
    if not losses:
        return []
    return [
        Section(
            title="While training",
            text="bpp + λ MSE on held-out crops, by the entropy model's estimate, of "
            "pairs with and without the loss; of several seeds the first. The axis on "
            "the right is linear up to 5 %.",
            figure=(PLOTS["training"], plots.training(losses, changes)),
        )
    ]


def _subject(found: Sequence[EvaluationResult]) -> str:
    images = found[0].images
    names = ", ".join(str(row["file"]) for row in images[:3])
    more = f" and {len(images) - 3} more" if len(images) > 3 else ""
    return f"{len(found)} evaluations on {len(images)} images ({names}{more})"


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(markdown: str, pictures: dict[str, bytes]) -> str:
    """The report as one file: pictures are in it."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for name, data in pictures.items():
        inline = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        body = re.sub(f'src="{re.escape(name)}"', f'src="{inline}"', body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Report</title><style>{_STYLE}</style></head>\n<body>{body}</body>"
        "</html>\n"
    )
