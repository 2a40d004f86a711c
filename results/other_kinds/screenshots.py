"""Screenshots that this file draws: a web page, a terminal, an editor and others.

Each function returns an image of `drawings.SIZE`; see there.
"""

from collections.abc import Sequence

import numpy as np
from drawings import SIZE, Picture, font, paragraph, sentence
from PIL import Image, ImageDraw

WIDTH, HEIGHT = SIZE
CODE = '''
import dataclasses
from pathlib import Path

@dataclasses.dataclass(frozen=True)
class Station:
    """A place where rain is measured."""

    name: str
    height: float = 0.0  # In meters.

    def label(self, unit="m"):
        return f"{self.name}, {self.height} {unit}"

def read(path: Path) -> list[Station]:
    lines = path.read_text().splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        name, _, height = line.partition(";")
        if not name:
            raise ValueError(f"line {number}")
        found.append(Station(name, float(height)))
    return sorted(found, key=lambda s: s.height)
'''.strip()
KEYWORDS = set("import from class def return for in if not raise lambda".split())


def web_page() -> Picture:
    """Draws an article in a browser: a bar, links, columns and a colored banner."""
    rng = np.random.default_rng(3)
    image, draw = _window("#ffffff", "#dee1e6", "https://news.example/weather")
    for row in range(56):
        share = row / 56
        color = (int(20 + 90 * share), int(60 + 110 * share), int(140 + 90 * share))
        draw.line([(0, 36 + row), (WIDTH, 36 + row)], color)
    draw.text((24, 50), "The Weather Review", "white", font=font(24, "Serif-Bold"))
    for number, word in enumerate(("Home", "Maps", "Rain", "Wind", "About")):
        draw.text((24 + 62 * number, 102), word, "#1a5fb4", font=font(12))
    draw.line([(24, 122), (488, 122)], "#cccccc")
    draw.text((24, 130), "Rain returns to the north", "#111111", font=font(17, "Serif"))
    _lines(draw, (24, 158), paragraph(rng, 46, 14), "#333333", font(11, "Serif"), 15)
    for number in range(3):
        top = 134 + 78 * number
        color = ("#e5a50a", "#26a269", "#c01c28")[number]
        draw.rounded_rectangle((348, top, 488, top + 68), 6, "#f6f5f4", "#d0d0d0")
        draw.rectangle((356, top + 8, 396, top + 60), color)
        text = paragraph(rng, 15, 4)
        _lines(draw, (402, top + 7), text, "#444444", font(9), 13)
    return np.asarray(image)


def terminal() -> Picture:
    """Draws a terminal with a colored listing and a bar of progress."""
    rng = np.random.default_rng(4)
    image, draw = _window("#1e1e2e", "#313244", "user@host: ~/project")
    mono, y = font(11, "SansMono"), 42
    for number in range(21):
        x, size = 8, int(rng.integers(100, 99999))
        parts = [
            ("drwxr-xr-x" if number % 4 == 0 else "-rw-r--r--", "#6c7086"),
            (f"{size:6}", "#a6e3a1"),
            (f"Nov {number + 3:2}", "#f9e2af"),
            (sentence(rng, 2)[:-1].lower().replace(" ", "_"), "#89b4fa"),
        ]
        if number in (0, 19):
            parts = [("$", "#a6e3a1"), (("ls -l", "make -j2")[number > 0], "#cdd6f4")]
        if number == 20:
            parts = [("[" + "#" * 28 + "." * 12 + "]", "#f38ba8"), ("70%", "#cdd6f4")]
        for text, color in parts:
            draw.text((x, y), text, color, font=mono)
            x += int(draw.textlength(f"{text} ", font=mono))
        y += 16
    return np.asarray(image)


def editor() -> Picture:
    """Draws an editor of source code with numbers of lines and a list of files."""
    image, draw = _window("#fdf6e3", "#eee8d5", "stations.py")
    mono = font(11, "SansMono")
    draw.rectangle((0, 34, 96, HEIGHT), "#e4ddc8")
    names = ("README.md", "data.csv", "stations.py", "plots.py", "tests")
    _lines(draw, (10, 44), names, "#586e75", font(11), 19)
    for number, line in enumerate(CODE.splitlines()):
        y = 40 + 14.5 * number
        draw.text((102, y), f"{number + 1:2}", "#93a1a1", font=mono)
        x = 128.0
        for word in line.replace("    ", "\u00a0" * 4).split(" "):
            bare = word.strip("\u00a0:(),")
            color = "#859900" if bare in KEYWORDS else "#073642"
            color = "#2aa198" if '"' in word else color
            color = "#cb4b16" if word.startswith("@") or bare.isdigit() else color
            draw.text((x, y), word, color, font=mono)
            x += draw.textlength(f"{word} ", font=mono)
    return np.asarray(image)


def spreadsheet() -> Picture:
    """Draws a table of numbers in a window with buttons and a selected row."""
    rng = np.random.default_rng(5)
    image, draw = _window("#ffffff", "#217346", "Budget.xlsx")
    draw.rectangle((0, 34, WIDTH, 62), "#f3f3f3")
    for number, text in enumerate(("File", "Edit", "Insert", "Data", "View")):
        box = (8 + 60 * number, 39, 60 + 60 * number, 57)
        draw.rounded_rectangle(box, 4, "#ffffff", "#b8b8b8")
        draw.text((box[0] + 8, 41), text, "#222222", font=font(11))
    for row in range(17):
        y = 62 + 19 * row
        if row == 7:
            draw.rectangle((0, y, WIDTH, y + 19), "#cfe8d8")
        draw.line([(0, y), (WIDTH, y)], "#d4d4d4")
        for column in range(7):
            x = 34 + 70 * column
            draw.line([(x, 62), (x, HEIGHT)], "#d4d4d4")
            value = f"{rng.uniform(-5000, 90000):,.2f}"
            text = "ABCDEFG"[column] if row == 0 else value
            color = "#c00000" if text.startswith("-") else "#111111"
            draw.text((x + 66, y + 3), text, color, font=font(10), anchor="ra")
        draw.text((10, y + 3), f"{row}" if row else "", "#777777", font=font(10))
    return np.asarray(image)


def dialog() -> Picture:
    """Draws a desktop with a gradient, icons, and a window of settings in front."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] / (HEIGHT, WIDTH)[0]
    colors = [60 + 90 * columns, 40 + 60 * rows, 130 + 80 * (1 - rows)]
    desktop = np.clip(np.stack(colors, axis=-1), 0, 255).astype(np.uint8)
    image = Image.fromarray(desktop)
    draw = ImageDraw.Draw(image)
    for number, name in enumerate(("Files", "Mail", "Music", "Trash")):
        y = 20 + 82 * number
        color = ("#f9c74f", "#4cc9f0", "#f72585", "#adb5bd")[number]
        draw.rounded_rectangle((24, y, 68, y + 44), 9, color)
        draw.text((46, y + 48), name, "white", font=font(11), anchor="ma")
    draw.rounded_rectangle((118, 40, 484, 350), 10, "#f5f5f7", "#555555")
    draw.text((138, 54), "Display settings", "#111111", font=font(16, "Sans-Bold"))
    labels = ("Brightness", "Contrast", "Night light", "Scale", "Refresh rate")
    for number, label in enumerate(labels):
        y, end = 96 + 40 * number, 300 + 28 * number
        draw.text((138, y), label, "#333333", font=font(13))
        draw.line([(260, y + 8), (456, y + 8)], "#c7c7cc", 4)
        draw.line([(260, y + 8), (end, y + 8)], "#0a84ff", 4)
        draw.ellipse((end - 8, y, end + 8, y + 16), "#ffffff", "#8e8e93")
    for x, text, color in ((290, "Cancel", "#e5e5ea"), (382, "Apply", "#0a84ff")):
        draw.rounded_rectangle((x, 308, x + 84, 336), 6, color)
        ink = "#ffffff" if text == "Apply" else "#111111"
        draw.text((x + 42, 314), text, ink, font=font(13), anchor="ma")
    return np.asarray(image)


def _window(
    color: str, bar: str, title: str
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Returns a window with a title bar of 34 pixels and three buttons."""
    image = Image.new("RGB", SIZE, color)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 33), bar)
    for number, button in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        draw.ellipse((10 + 20 * number, 11, 22 + 20 * number, 23), button)
    draw.rounded_rectangle((84, 6, WIDTH - 20, 28), 8, "#ffffff")
    draw.text((96, 9), title, "#333333", font=font(12))
    return image, draw


def _lines(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Sequence[str],
    color: str,
    face,
    step: int,
) -> None:
    """Writes lines of text below each other."""
    for number, line in enumerate(lines):
        draw.text((corner[0], corner[1] + step * number), line, color, font=face)
