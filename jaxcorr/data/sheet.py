"""A sheet to draw on, with random numbers, colors and letters."""

import colorsys
import dataclasses
import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = np.array(
    list(2 * "eeeettttaaaoooiiinnnssshhrrddllccuummwfgypb" + 20 * " ")
    + list("vkjxqz,.-0123456789")
)
"""Letters, about as often as in English, with spaces between words."""

Color = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A square picture that is drawn on.

    Attributes:
      rng: Random generator of everything on the sheet.
      side: Side in pixels.
      unit: Pixels of the sheet across a pixel of the finished picture.
      colors: Colors of the picture, at least two.
      image: The picture.
      pen: Draws on the picture.
    """

    rng: np.random.Generator
    side: int
    unit: int
    colors: list[Color]
    image: Image.Image
    pen: ImageDraw.ImageDraw

    def number(self, least: int | float, most: int | float) -> int:
        """Returns a random integer from one number to another, both rounded down."""
        return int(self.rng.integers(int(least), int(most) + 1))

    def chance(self, probability: float) -> bool:
        """Returns True with a probability."""
        return bool(self.rng.random() < probability)

    def color(self) -> Color:
        """Returns one of the colors of the picture at random."""
        return self.colors[self.number(0, len(self.colors) - 1)]

    def points(self, count: int) -> list[tuple[float, float]]:
        """Returns random points, some of them a little outside."""
        values = self.rng.uniform(-0.1, 1.1, (count, 2)) * self.side
        return [(x, y) for x, y in values.tolist()]

    def letters(self, count: int) -> str:
        """Returns random letters and spaces."""
        return "".join(LETTERS[self.rng.integers(len(LETTERS), size=count)])

    def fill(self, color: Color) -> None:
        """Covers the sheet with a color."""
        self.pen.rectangle((0, 0, self.side, self.side), color)

    def lay_paper(self) -> Color:
        """Covers the sheet with a color of paper, and returns a legible ink."""
        pale = (self.number(225, 255), self.number(225, 255), self.number(210, 255))
        paper = (WHITE, WHITE, BLACK, pale, self.color())[self.number(0, 4)]
        self.fill(paper)
        return WHITE if sum(paper) < 384 else BLACK


def blank_sheet(rng: np.random.Generator, *, size: int, unit: int) -> Sheet:
    """Returns a sheet of one color, with two to seven colors to draw with.

    Args:
      rng: Random generator of the sheet.
      size: Side of the finished picture, in pixels.
      unit: Pixels of the sheet across a pixel of the finished picture.
    """
    colors = [random_color(rng) for _ in range(rng.integers(2, 8))]
    image = Image.new("RGB", (size * unit, size * unit), colors[0])
    return Sheet(rng, size * unit, unit, colors, image, ImageDraw.Draw(image))


def random_color(rng: np.random.Generator) -> Color:
    """Returns a saturated color, or more rarely a pale one, a gray, black or white."""
    kind = rng.random()
    if kind < 0.15:
        gray = int(rng.integers(256))
        return (WHITE, BLACK, (gray, gray, gray))[rng.integers(3)]
    saturation = rng.uniform(0.6, 1) if kind < 0.7 else rng.uniform(0, 0.6)
    rgb = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.3, 1))
    red, green, blue = (round(255 * value) for value in rgb)
    return red, green, blue


@functools.lru_cache(maxsize=64)
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font that Pillow contains.

    Args:
      size: Height of a line, about, in pixels.
    """
    return ImageFont.load_default(size)
