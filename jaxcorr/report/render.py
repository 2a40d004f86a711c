"""Writes a report on evaluated codecs: Markdown, figures, and one page of HTML."""

import base64
import io
import re
from collections.abc import Mapping, Sequence

from markdown_it import MarkdownIt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxcorr import files
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics.bjontegaard import Interpolation
from jaxcorr.paths import AnyPath
from jaxcorr.report.comparison import AnchorComparison, compare_with_anchor
from jaxcorr.report.sections import FIGURE_FILES, make_sections

MARKDOWN, PAGE = "report.md", "report.html"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
        overflow-x: auto; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ccc; white-space: nowrap; }
img { max-width: 100%; }
code { background: #f2f2f2; padding: 0 0.2rem; overflow-wrap: anywhere; }
"""


def write_report(
    evaluations: Sequence[EvaluationResult],
    directory: AnyPath,
    *,
    anchor: str | None,
    interpolation: Interpolation,
    command: str,
) -> AnchorComparison:
    """Writes a report to a folder, and replaces an older report there.

    Args:
      evaluations: Evaluations, all on the same images.
      directory: Folder of the report.
      anchor: Name of the curve to compare with, or a part of it; by default the first
        curve without the loss that has enough points.
      interpolation: Interpolation between the points of a curve, as in
        `bjontegaard.bd_rate`.
      command: Command that writes the report, which its first line quotes.

    Raises:
      UserError: If `anchor` does not name exactly one curve, no curve can be compared
        with it, or a file cannot be written.
    """
    comparison = compare_with_anchor(
        evaluations, anchor=anchor, interpolation=interpolation
    )
    paragraphs = ["# Report", f"{_summary(evaluations)}. Written by `{command}`."]
    pictures = {}
    for section in make_sections(comparison):
        paragraphs += [f"## {section.title}", section.text]
        if section.figure:
            name, figure = section.figure
            pictures[name] = _png(figure)
            paragraphs.append(f"![{section.title}]({name})")
        if section.table:
            paragraphs.append(section.table.as_markdown())
    markdown = "\n\n".join(filter(None, paragraphs)) + "\n"
    for name in set(FIGURE_FILES.values()) - pictures.keys():
        (directory / name).unlink(missing_ok=True)
    for name, data in pictures.items():
        files.write_file(directory / name, data)
    files.write_file(directory / PAGE, _page(markdown, pictures).encode())
    files.write_file(directory / MARKDOWN, markdown.encode())
    return comparison


def _summary(evaluations: Sequence[EvaluationResult]) -> str:
    images = evaluations[0].images
    names = ", ".join(str(row["file"]) for row in images[:3])
    more = f" and {len(images) - 3} more" if len(images) > 3 else ""
    return f"{len(evaluations)} evaluations on {len(images)} images ({names}{more})"


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(markdown: str, pictures: Mapping[str, bytes]) -> str:
    """Returns the report as one page of HTML that contains the pictures."""
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
