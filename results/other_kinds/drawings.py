"""Drawings that this file draws: a chart, a map, a cartoon and a scanned page.

Each function returns an image of `SIZE`. Drawings are the same wherever Pillow and
matplotlib draw alike; other versions may place single pixels of text differently.
"""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

SIZE = 512, 384
"""Width and height, in pixels."""
WORDS = (
    "the of a river stone light winter morning letter machine paper garden window "
    "quiet answer between under other people measure water street bridge number "
    "station evening color picture weather which remains before after carries small "
    "several early years north found without journey market"
).split()

Picture = UInt8[np.ndarray, "h w 3"]


@functools.cache
def font(size: int, style: str = "Sans") -> ImageFont.FreeTypeFont:
    """Returns a font of the DejaVu family, which matplotlib carries.

    Args:
      size: Size in pixels.
      style: End of the name, such as "Sans", "Sans-Bold", "Serif" or "SansMono".
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVu{style}.ttf"), size)


def sentence(rng: np.random.Generator, count: int) -> str:
    """Returns a sentence of random words."""
    words = [WORDS[index] for index in rng.integers(len(WORDS), size=count)]
    return " ".join(words).capitalize() + "."


def paragraph(rng: np.random.Generator, columns: int, lines: int) -> list[str]:
    """Returns lines of text, none longer than a number of characters."""
    made, line = [], ""
    while len(made) < lines:
        for word in sentence(rng, int(rng.integers(6, 14))).split():
            if len(line) + len(word) >= columns:
                made.append(line.strip())
                line = ""
            line += f" {word}"
    return made[:lines]


def chart() -> Picture:
    """Draws lines with a legend, and bars with labels."""
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(5.12, 3.84), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    x = np.linspace(0, 10, 200)
    for number in range(4):
        y = np.cumsum(rng.normal(0.02, 0.1, x.size)) + number
        left.plot(x, y, label=f"series {number + 1}")
        left.fill_between(x, y - 0.3, y + 0.3, alpha=0.2)
    left.grid(alpha=0.4)
    left.legend(fontsize=7)
    left.set_title("Drift of four sensors", fontsize=9)
    left.set_xlabel("time in hours", fontsize=8)
    colors = [f"C{index}" for index in range(6)]
    right.barh(WORDS[8:14], rng.uniform(1, 9, 6), color=colors)
    right.set_title("Count by place", fontsize=9)
    for axis in (left, right):
        axis.tick_params(labelsize=7)
    return _rendered(figure)


def relief_map() -> Picture:
    """Draws a shaded relief with contours, a lake, roads and names of places."""
    rng = np.random.default_rng(1)
    noise = [(rng.normal(size=(192, 256)), sigma) for sigma in (2, 5, 12, 30)]
    layers = [ndimage.gaussian_filter(x, sigma) * sigma**1.6 for x, sigma in noise]
    height = np.sum(layers, axis=0)
    rows, columns = np.gradient(height)
    figure = Figure(figsize=(5.12, 3.84), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(height, cmap="terrain", aspect="auto", vmin=height.min() * 1.3)
    axis.imshow(rows + columns, cmap="gray", alpha=0.25, aspect="auto")
    axis.contour(height, levels=14, colors="saddlebrown", linewidths=0.5)
    axis.contourf(height, levels=[height.min(), np.quantile(height, 0.1)], colors="c")
    for color, width in (("black", 4), ("gold", 2.5)):
        for shift in (40, 120):
            x = np.arange(256)
            y = shift + 18 * np.sin(x / 31 + shift) + 6 * np.sin(x / 9)
            axis.plot(x, y, color=color, linewidth=width)
    for name, x, y in zip(
        WORDS[20:32], rng.uniform(10, 210, 12), rng.uniform(10, 180, 12), strict=True
    ):
        axis.plot(x, y, "o", color="crimson", markeredgecolor="white", markersize=5)
        axis.text(x + 4, y, name.capitalize(), fontsize=7)
    axis.set_axis_off()
    return _rendered(figure)


def cartoon() -> Picture:
    """Draws a landscape of flat colors with outlines, a house, a tree and a balloon."""
    scale, (width, height) = 3, SIZE
    image = Image.new("RGB", (width * scale, height * scale), "#8fd3f4")
    draw = ImageDraw.Draw(image)

    def ellipse(x, y, across, down, color, outline: str | None = "#222222"):
        box = [scale * side for side in (x - across, y - down, x + across, y + down)]
        draw.ellipse(box, fill=color, outline=outline, width=2 * scale)

    def polygon(*corners, color):
        points = [(x * scale, y * scale) for x, y in corners]
        draw.polygon(points, fill=color)
        draw.line([*points, points[0]], "#222222", 2 * scale, joint="curve")

    ellipse(430, 60, 34, 34, "#ffd93b")
    for x, y in ((90, 70), (270, 45), (360, 110)):
        for shift in (-26, 0, 26):
            ellipse(x + shift, y, 26, 16, "#ffffff", None)
    ellipse(120, 380, 260, 140, "#6bbf59")
    ellipse(430, 400, 240, 150, "#4a9d4a")
    polygon((120, 230), (230, 230), (230, 320), (120, 320), color="#f25f4c")
    polygon((108, 232), (175, 172), (242, 232), color="#7f3b2f")
    polygon((162, 268), (190, 268), (190, 320), (162, 320), color="#4b2e83")
    polygon((134, 248), (154, 248), (154, 268), (134, 268), color="#fffbe0")
    polygon((352, 230), (368, 230), (374, 330), (346, 330), color="#8b5a2b")
    for x, y in ((340, 215), (380, 215), (360, 190), (360, 225)):
        ellipse(x, y, 34, 28, "#1f8a4c", None)
    ellipse(300, 120, 30, 38, "#e91e63")
    polygon((290, 172), (310, 172), (306, 188), (294, 188), color="#a0522d")
    title = font(26 * scale, "Sans-Bold")
    draw.text((20 * scale, 14 * scale), "A windy day", "#222222", font=title)
    return np.asarray(image.resize(SIZE, Image.Resampling.BOX))


def scanned_page() -> Picture:
    """Draws a printed page as a scanner sees it: turned, blurred, shaded, grainy."""
    rng = np.random.default_rng(2)
    width, height = SIZE
    page = Image.new("L", SIZE, 246)
    draw = ImageDraw.Draw(page)
    draw.text((56, 24), "On the quiet machine", 20, font=font(21, "Serif-Bold"))
    for number, line in enumerate(paragraph(rng, 56, 20)):
        draw.text((48, 62 + 15.5 * number), line, 25, font=font(12, "Serif"))
    page = page.rotate(0.8, Image.Resampling.BICUBIC, fillcolor=246)
    page = page.filter(ImageFilter.GaussianBlur(0.6))
    shade = np.linspace(0.86, 1, width) * np.linspace(1, 0.95, height)[:, None]
    grain = ndimage.gaussian_filter(rng.normal(0, 4, (height, width)), 0.7)
    paper = np.asarray(page)[..., None] * shade[..., None] * (1, 0.98, 0.92)
    return np.clip(paper + grain[..., None], 0, 255).astype(np.uint8)


def _rendered(figure: Figure) -> Picture:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
