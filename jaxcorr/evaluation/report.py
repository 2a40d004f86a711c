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
from jaxcorr.evaluation import curves, findings, plots, tables
from jaxcorr.evaluation.bjontegaard import Interpolation
from jaxcorr.evaluation.curves import Family
from jaxcorr.evaluation.evaluations import Evaluation
from jaxcorr.evaluation.findings import Findings
from jaxcorr.evaluation.tables import Table

MARKDOWN, PAGE = "report.md", "report.html"

DRAWN_BEHIND = (
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


def write(
    found: Sequence[Evaluation],
    directory: Path,
    *,
    anchor: str | None,
    interpolation: Interpolation,
    command: str,
) -> Findings:
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
    drawn = findings.find(found, anchor=anchor, interpolation=interpolation)
    sections = _sections(drawn)
    text = [
        "# Report",
        f"{_subject(found)}. Written by `{command}`.",
    ]
    pictures = {}
    for section in sections:
        text += [f"## {section.title}", section.text]
        if section.figure:
            name, figure = section.figure
            pictures[name] = _png(figure)
            text.append(f"![{section.title}]({name})")
        if section.table:
            text.append(section.table.as_markdown())
    markdown = "\n\n".join(part for part in text if part) + "\n"
    for name, data in pictures.items():
        files.write_file(directory / name, data)
    files.write_file(directory / MARKDOWN, markdown.encode())
    files.write_file(directory / PAGE, _page(markdown, pictures).encode())
    return drawn


def _sections(drawn: Findings) -> list[Section]:
    """The parts of the report for which there is something to say."""
    published = list(drawn.published)
    behind = [family for family in published if family.name in DRAWN_BEHIND]
    sections = [_rate_distortion(drawn, behind, "psnr_db")]
    if any(family.points("ms_ssim_db") for family in drawn.families):
        sections.append(_rate_distortion(drawn, behind, "ms_ssim_db"))
    sections.append(
        Section(
            title="Points",
            text="Means over the images, of all seeds. Bits per pixel are those of "
            "real files, header included; y is latents, z side information.",
            table=tables.points(drawn.evaluations, drawn.label),
        )
    )
    if drawn.anchor is not None:
        sections += _compared(drawn)
    effects = tables.effects(drawn.evaluations, drawn.label)
    if effects.rows:
        sections.append(
            Section(
                title="What the loss changes",
                text="Each model against the one trained in the same way, with the "
                "same seed, without the loss. The cost is bpp + λ MSE, of files.",
                table=effects,
            )
        )
    correlation, cost, smallest = findings.against_weight(drawn.evaluations)
    if correlation:
        sections.append(
            Section(
                title="How much of the loss",
                text="Correlation left in the decoded latents, and cost, against the "
                "weight of the loss in training; means over seeds.",
                figure=(
                    "weights.png",
                    plots.weights(correlation, cost, smallest=smallest),
                ),
            )
        )
    losses, changes = findings.histories(drawn.evaluations, drawn.label)
    if losses:
        sections.append(
            Section(
                title="While training",
                text="On held-out crops, by the entropy model's estimate.",
                figure=("training.png", plots.training(losses, changes)),
            )
        )
    return sections


def _rate_distortion(
    drawn: Findings, behind: Sequence[Family], quality: curves.Quality
) -> Section:
    name = {"psnr_db": "PSNR", "ms_ssim_db": "MS-SSIM"}[quality]
    having = [family for family in drawn.families if family.points(quality)]
    text = "A line a training seed."
    if behind:
        text += " In grey, curves that others published (sources in the table below)."
    return Section(
        title=f"Rate and {name}",
        text=text,
        figure=(f"rate_{quality}.png", plots.rate_distortion(having, behind, quality)),
    )


def _compared(drawn: Findings) -> list[Section]:
    assert drawn.anchor is not None
    text = (
        f"Against **{drawn.anchor.name}**: rate at equal quality (negative: fewer "
        f"bits) and quality at equal rate, by {drawn.interpolation} interpolation; "
        "each seed against the anchor's same seed, mean and range. Where curves share "
        "less than half of their range, mistrust the figure."
    )
    if drawn.notes:
        text += "\n\n" + "\n".join(f"- {note}" for note in drawn.notes)
    sections = [
        Section(title="BD-rate", text=text, table=tables.bd_table(drawn)),
    ]
    ours, table = tables.complexity(drawn)
    if ours:
        paper, source = tables.papers_complexity()
        figure = plots.complexity(
            ours, paper, drawn.anchor.name, "the Cheng hyperprior"
        )
        sections.append(
            Section(
                title="Rate saved and time to code",
                text=f"Beside what the paper printed ({source}).",
                table=table,
                figure=("complexity.png", figure),
            )
        )
    return sections


def _subject(found: Sequence[Evaluation]) -> str:
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
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    for name, data in pictures.items():
        inline = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        body = re.sub(f'src="{re.escape(name)}"', f'src="{inline}"', body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Report</title><style>{_STYLE}</style></head>\n<body>{body}</body>"
        "</html>\n"
    )
