"""Synthetic drawings, charts, windows and text, made by a random generator alone."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr.data import color_fields
from jaxcorr.data.sheet import BLACK, WHITE, Sheet, blank_sheet, load_font

OVERSAMPLING = 2
"""Factor by which half of the drawings are drawn larger, for smooth edges."""


def random_drawing(
    rng: np.random.Generator, *, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Draws a picture: shapes, strokes, color fields, a chart, a window or text.

    Args:
      rng: Random generator, which alone decides the picture. Another version of Pillow
        or another processor may change values of pixels slightly.
      size: Side of the picture, in pixels, at least 64.
    """
    kinds = (draw_shapes, draw_strokes, draw_field, draw_chart, draw_window, draw_page)
    return np.asarray(_drawing(kinds[rng.integers(len(kinds))], rng, size=size))


def draw_shapes(sheet: Sheet) -> None:
    """Draws ellipses, rectangles and polygons, at times with large text over them."""
    if sheet.chance(0.3):
        draw_field(sheet)
    largest = sheet.side * sheet.rng.uniform(0.1, 0.7)
    outline = sheet.color() if sheet.chance(0.4) else None
    width = sheet.number(1, 4) * sheet.unit
    for x, y in sheet.points(sheet.number(2, 40)):
        a, b = sheet.rng.uniform(0.1, 1, 2) * largest / 2
        box, fill = (x - a, y - b, x + a, y + b), sheet.color()
        match sheet.number(0, 3):
            case 0:
                sheet.pen.ellipse(box, fill, outline, width)
            case 1:
                sheet.pen.rounded_rectangle(box, min(a, b) / 3, fill, outline, width)
            case 2:
                sheet.pen.rectangle(box, fill, outline, width)
            case _:
                corners = sheet.number(3, 9)
                angles = np.sort(sheet.rng.uniform(0, 2 * np.pi, corners))
                radius = np.where(np.arange(corners) % 2, a, b)
                ring = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
                polygon = [(x + u, y + v) for u, v in ring.tolist()]
                sheet.pen.polygon(polygon, fill, outline, width)
    if sheet.chance(0.3):
        _write_large(sheet)


def draw_strokes(sheet: Sheet) -> None:
    """Draws curves of a pen: a scribble, hatching or a line drawing."""
    paper = BLACK if sheet.chance(0.2) else WHITE
    if sheet.chance(0.6):
        sheet.fill(paper)
    elif sheet.chance(0.3):
        draw_field(sheet)
    curvature = sheet.rng.uniform(0.02, 0.3)
    widest = sheet.number(1, 8) * sheet.unit
    ink = sheet.color() if sheet.chance(0.5) else None
    for x, y in sheet.points(sheet.number(6, 50)):
        count, step = sheet.number(5, 60), sheet.rng.uniform(2, 8) * sheet.unit
        turns = sheet.rng.normal(0, curvature, count)
        angles = sheet.rng.uniform(0, 2 * np.pi) + np.cumsum(np.cumsum(turns) * 0.5)
        path = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * step, 0)
        curve = [(x + u, y + v) for u, v in path.tolist()]
        width = sheet.number(1, widest)
        if sheet.chance(0.2):
            sheet.pen.polygon(curve, sheet.color())
        sheet.pen.line(curve, ink or sheet.color(), width, joint="curve")


def draw_field(sheet: Sheet) -> None:
    """Fills the sheet with a gradient, stripes, checks, dots or flat areas."""
    field = color_fields.random_field(sheet.rng, size=sheet.side, colors=sheet.colors)
    sheet.image.paste(field)


def draw_chart(sheet: Sheet) -> None:
    """Draws a chart of bars, lines, points or sectors, with a grid and labels."""
    ink = sheet.lay_paper()
    side, pen, unit = sheet.side, sheet.pen, sheet.unit
    left, top = side * sheet.rng.uniform(0.05, 0.2, 2)
    right, bottom = side * sheet.rng.uniform(0.8, 1.1, 2)
    font = load_font(sheet.number(8, 14) * unit)
    pen.text((left, top / 4), sheet.letters(24).title(), ink, font)
    if sheet.chance(0.15):
        ends = np.sort(sheet.rng.uniform(0, 360, sheet.number(3, 8))).tolist()
        for start, end in zip(ends, [*ends[1:], ends[0] + 360], strict=True):
            pen.pieslice((left, top, right, bottom), start, end, sheet.color(), ink)
        return
    grid = (sheet.number(110, 200),) * 3 if sheet.chance(0.7) else None
    for share in np.linspace(0, 1, sheet.number(3, 9)).tolist():
        y = bottom + share * (top - bottom)
        if grid:
            pen.line((left, y, right, y), grid, unit)
        pen.text((left - 4 * unit, y), f"{100 * share:.0f}", ink, font, "rm")
    pen.line([(left, top), (left, bottom), (right, bottom)], ink, unit)
    count, kind = sheet.number(4, 30), sheet.number(0, 2)
    for _ in range(sheet.number(1, 4) if kind else 1):
        x = np.linspace(left, right, count + 1)[:-1].tolist()
        heights = np.cumsum(sheet.rng.normal(0, 0.12, count)) + sheet.rng.uniform(
            0.2, 0.8
        )
        y = (bottom + np.clip(np.abs(heights), 0.02, 1) * (top - bottom)).tolist()
        color, width = sheet.color(), sheet.number(1, 3) * unit
        bar = (right - left) / count * sheet.rng.uniform(0.4, 1)
        for u, v in zip(x, y, strict=True):
            if kind == 0:
                fill = sheet.color() if sheet.chance(0.2) else color
                pen.rectangle((u, v, u + bar, bottom), fill)
            elif kind == 1:
                pen.circle((u, v), 2 * width, color)
        if kind == 2:
            pen.line(list(zip(x, y, strict=True)), color, width)


def draw_window(sheet: Sheet) -> None:
    """Draws a part of a screen: a window with a bar, a list, buttons and contents."""
    rng, side, pen, unit = sheet.rng, sheet.side, sheet.pen, sheet.unit
    if sheet.chance(0.5):
        draw_field(sheet)
    left, top = (side * rng.uniform(-0.3, 0.2, 2)).tolist()
    right, bottom = (side * rng.uniform(0.8, 1.3, 2)).tolist()
    paper = sheet.number(225, 255) if sheet.chance(0.65) else sheet.number(15, 60)
    ink = BLACK if paper > 127 else (225, 225, 225)
    shade = (paper - 25,) * 3 if paper > 127 else (paper + 25,) * 3
    size = sheet.number(9, 16) * unit
    font, row = load_font(size), int(size * rng.uniform(1.4, 2.2))
    bottom = max(bottom, top + 4 * row)
    pen.rectangle((left, top, right, bottom), (paper,) * 3, shade, unit)
    bar = sheet.color() if sheet.chance(0.4) else shade
    pen.rectangle((left, top, right, top + 1.5 * row), bar)
    pen.text((left + side / 3, top + row / 4), sheet.letters(20).title(), ink, font)
    for number in range(3):
        x, y = right - (3 - number) * row, top + 0.4 * row
        pen.ellipse((x, y, x + row / 2, y + row / 2), sheet.color())
    split = left + side * rng.uniform(0.2, 0.6)
    for y in np.arange(top + 2 * row, bottom - row, row).tolist():
        if sheet.chance(0.1):
            pen.rectangle((left, y, split - unit, y + row), sheet.color())
        icon = (left + unit, y + row / 4, left + row / 2, y + 3 * row / 4)
        pen.rectangle(icon, sheet.color())
        pen.text((left + row, y), sheet.letters(sheet.number(4, 12)), ink, font)
    pen.rectangle((split, top + 1.5 * row, right, bottom), (paper,) * 3, shade, unit)
    x, y = split + row / 2, top + 2 * row
    if sheet.chance(0.5):
        kinds = (draw_shapes, draw_strokes, draw_field, draw_chart)
        draw = kinds[sheet.number(0, len(kinds) - 1)]
        picture = _drawing(draw, rng, size=side // 2)
        sheet.image.paste(picture, (int(x), int(y)))
        y += side / 2 + row / 4
    while y < bottom - row:
        if sheet.chance(0.2):
            box = (x, y, x + 5 * row, y + 0.9 * row)
            pen.rounded_rectangle(box, row / 5, sheet.color(), shade)
        count = sheet.number(3, max(3, 2 * (right - x) / size))
        pen.text((x + row / 4, y), sheet.letters(count), ink, font)
        y += row


def draw_page(sheet: Sheet) -> None:
    """Writes lines of text: a page, a program with colored words, or a sign."""
    ink = sheet.lay_paper()
    if sheet.chance(0.25):
        if sheet.chance(0.6):
            draw_field(sheet)
        _write_large(sheet)
        return
    size = sheet.number(8, 14 if sheet.chance(0.6) else 40) * sheet.unit
    row, font = int(size * sheet.rng.uniform(1.1, 1.8)), load_font(size)
    is_program, stroke = sheet.chance(0.3), size / 40 if sheet.chance(0.2) else 0
    margin = sheet.side * sheet.rng.uniform(-0.3, 0.2)
    indent = 0
    for y in range(-sheet.number(0, row), sheet.side, row):
        if sheet.chance(0.1):
            continue  # The end of a paragraph.
        if is_program:
            indent = max(0, indent + sheet.number(-1, 1))
            x = margin + 2 * size * indent
            for _ in range(sheet.number(1, 6)):
                word, color = sheet.letters(sheet.number(2, 10)), sheet.color()
                sheet.pen.text((x, y), word, color if sheet.chance(0.5) else ink, font)
                x += font.getlength(word) + size / 2
        else:
            count = sheet.number(1, 8) if sheet.chance(0.15) else 2 * sheet.side // size
            line = sheet.letters(count).capitalize()
            color = sheet.color() if sheet.chance(0.05) else ink
            sheet.pen.text((margin, y), line, color, font, stroke_width=stroke)
    if sheet.chance(0.15):
        sheet.image.paste(sheet.image.transpose(Image.Transpose.ROTATE_90))


def _drawing(
    draw: Callable[[Sheet], None], rng: np.random.Generator, *, size: int
) -> Image.Image:
    """Draws a picture of a kind."""
    sheet = blank_sheet(rng, size=size, unit=OVERSAMPLING if rng.random() < 0.5 else 1)
    draw(sheet)
    return sheet.image.reduce(sheet.unit)


def _write_large(sheet: Sheet) -> None:
    """Writes a few large words, as on a sign, at times with an outline."""
    size = sheet.side * sheet.rng.uniform(0.1, 0.35)
    font, color, outline = load_font(round(size)), sheet.color(), sheet.color()
    width = sheet.number(1, 3) * sheet.unit if sheet.chance(0.3) else 0
    for number in range(sheet.number(1, 4)):
        place = (sheet.side * sheet.rng.uniform(-0.1, 0.3), 1.2 * size * number)
        text = sheet.letters(sheet.number(2, 12))
        text = text.upper() if sheet.chance(0.5) else text.title()
        sheet.pen.text(
            place, text, color, font, stroke_width=width, stroke_fill=outline
        )
