"""Random changes of training crops: scale, color, blur and synthetic drawings."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from jaxcorr import serialization
from jaxcorr.data import synthetic
from jaxcorr.errors import require

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luma of ITU-R BT.601, which JPEG files use."""

YCC_OF_RGB = np.stack([LUMA, ([0, 0, 1] - LUMA) / 1.772, ([1, 0, 0] - LUMA) / 1.402])
"""Matrix from red, green and blue to luma and color differences."""

RGB_OF_YCC = np.linalg.inv(YCC_OF_RGB)
"""Its inverse."""

LANCZOS_SUPPORT = 3
"""Radius of the Lanczos filter, in pixels of the smaller image."""


@serialization.stored("Augmentation")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random changes of training crops, all off by default."""

    scale: float = 1.0
    """Smallest factor by which a photograph is resampled before a crop is taken, above
    0 and up to 1, where 1 never resamples. The factor is uniform from here to 1, except
    that no photograph becomes smaller than a crop."""
    hue: float = 0.0
    """Largest rotation of the hue, in degrees from 0 to 180. The angle is uniform in
    [-hue, hue]."""
    saturation: float = 0.0
    """Largest change of the saturation, from 0 to 1. The factor is uniform in
    [1 - saturation, 1 + saturation]."""
    gamma: float = 0.0
    """Largest change of gamma, in octaves from 0 to 3. The exponent of the values is
    2**u, with u uniform in [-gamma, gamma]."""
    channel_permutation: float = 0.0
    """Probability of a random order of the color channels, one of all six."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: float = 2.0
    """Largest standard deviation of a blur, in pixels, above 0 and up to 16. It is
    uniform from 0 to here."""
    synthetic: float = 0.0
    """Probability that a synthetic drawing or text takes the place of a crop."""

    def __post_init__(self):
        """Checks the range of the numbers."""
        ranges = {"hue": 180, "saturation": 1, "gamma": 3}
        ranges |= dict.fromkeys(("channel_permutation", "blur", "synthetic"), 1)
        for name, most in ranges.items():
            value = getattr(self, name)
            require(self, name, f"from 0 to {most}", 0 <= value <= most)
        for name, most in {"scale": 1, "blur_sigma": 16}.items():
            value = getattr(self, name)
            require(self, name, f"above 0 and up to {most}", 0 < value <= most)

    @property
    def changes_pixels(self) -> bool:
        """Is true if a crop that is not replaced may differ from the photograph."""
        strengths = (self.hue, self.saturation, self.gamma, self.channel_permutation)
        return self.scale < 1 or any(strengths) or self.blur > 0


def random_crop(
    image: UInt8[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    *,
    size: int,
    flip: bool,
    config: AugmentationConfig,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Cuts a square at a random place, and changes, mirrors or replaces it at random.

    Args:
      image: The image, no smaller than the square.
      rng: Random generator. What is off draws no number from it.
      size: Side of the square, in pixels.
      flip: Mirrors the square left to right with probability 1/2.
      config: Strengths and probabilities of the other changes. A synthetic drawing
        takes the place of the square and is not changed.

    Returns:
      The square. It shares the memory of the image if nothing was changed.
    """
    height, width = image.shape[:2]
    side = size
    if config.scale < 1:
        smallest = max(config.scale, size / min(height, width))
        side = round(size / rng.uniform(smallest, 1))
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    mirrored = flip and rng.integers(2)
    if config.synthetic and rng.random() < config.synthetic:
        return synthetic.random_drawing(rng, size=size)
    crop = image[top : top + side, left : left + side]
    if config.changes_pixels:
        picture = resample(image, top=top, left=left, side=side, size=size)
        crop = np.asarray(augment(picture, rng, config))
    return mirror(crop) if mirrored else crop


def random_crops(
    image: UInt8[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    *,
    count: int,
    **options: Any,
) -> tuple[UInt8[np.ndarray, "size size 3"], ...]:
    """Returns several crops of an image, as `random_crop`."""
    return tuple(random_crop(image, rng, **options) for _ in range(count))


def resample(
    image: UInt8[np.ndarray, "h w 3"], *, top: int, left: int, side: int, size: int
) -> Image.Image:
    """Resamples a square of an image to a size up to its own, by the Lanczos filter.

    The result is a part of the whole image resampled by `size / side`, but only the
    square and the margin that the filter reaches are read.

    Args:
      image: The image.
      top: First row of the square.
      left: First column of the square.
      side: Side of the square, in pixels of the image.
      size: Side of the result, in pixels.
    """
    if side == size:
        return Image.fromarray(image[top : top + size, left : left + size])
    margin = math.ceil(LANCZOS_SUPPORT * side / size) + 1
    first_row, first_column = max(0, top - margin), max(0, left - margin)
    region = image[first_row : top + side + margin, first_column : left + side + margin]
    x, y = left - first_column, top - first_row
    return Image.fromarray(region).resize(
        (size, size), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side)
    )


def augment(
    picture: Image.Image, rng: np.random.Generator, config: AugmentationConfig
) -> Image.Image:
    """Changes the colors and the sharpness of an RGB picture at random.

    Hue, saturation and the order of the channels change together, then gamma, and last
    the sharpness.

    Args:
      picture: The picture.
      rng: Random generator. What is off draws no number from it.
      config: Strengths and probabilities. `scale` and `synthetic` are ignored: they are
        for `random_crop`.
    """
    matrix, exponent = np.eye(3), 1.0
    if config.hue or config.saturation:
        degrees = config.hue * rng.uniform(-1, 1)
        factor = 1 + config.saturation * rng.uniform(-1, 1)
        matrix = chroma_matrix(degrees=degrees, factor=factor)
    if config.gamma:
        exponent = 2 ** (config.gamma * rng.uniform(-1, 1))
    if config.channel_permutation and rng.random() < config.channel_permutation:
        matrix = matrix[rng.permutation(3)]
    if not np.array_equal(matrix, np.eye(3)):
        picture = mix_channels(picture, matrix)
    if exponent != 1:
        picture = apply_gamma(picture, exponent=exponent)
    if config.blur and rng.random() < config.blur:
        sigma = config.blur_sigma * rng.uniform()
        # Pillow's is a repeated box filter, which costs the same for every sigma.
        picture = picture.filter(ImageFilter.GaussianBlur(sigma))
    return picture


def chroma_matrix(*, degrees: float, factor: float) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix that rotates the hue and multiplies the saturation of RGB.

    It keeps the luma Y = 0.299 R + 0.587 G + 0.114 B of ITU-R BT.601, rotates the
    color differences (Cb, Cr) = ((B - Y) / 1.772, (R - Y) / 1.402) by the angle, and
    multiplies them by the factor. Gray keeps its value.

    Args:
      degrees: Angle of the rotation, from Cb to Cr.
      factor: Factor of the saturation; 0 makes gray.

    References:
      ITU-T T.871, "JPEG File Interchange Format (JFIF)", 2011, section 7,
      https://www.itu.int/rec/T-REC-T.871.
    """
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    change = np.eye(3)
    change[1:, 1:] = factor * np.array([[cos, -sin], [sin, cos]])
    return RGB_OF_YCC @ change @ YCC_OF_RGB


def mix_channels(picture: Image.Image, matrix: Float[np.ndarray, "3 3"]) -> Image.Image:
    """Multiplies the colors of an RGB picture by a matrix.

    Values are rounded and clipped to 0 to 255. With a `chroma_matrix`, luma is kept
    where nothing is clipped.

    Args:
      picture: The picture.
      matrix: The matrix.
    """
    with_offsets = np.zeros((3, 4))
    with_offsets[:, :3] = matrix
    return picture.convert("RGB", tuple(with_offsets.ravel().tolist()))


def apply_gamma(picture: Image.Image, *, exponent: float) -> Image.Image:
    """Raises the values of an RGB picture to a power: 255 (v / 255)**exponent, rounded.

    Args:
      picture: The picture.
      exponent: The power. Above 1 it darkens.
    """
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(int)
    return picture.point(3 * table.tolist())


def mirror(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a mirrored copy of an image, left to right."""
    mirrored = np.empty(image.shape, np.uint8)
    for channel in range(3):  # Four times as fast as all channels at once.
        mirrored[..., channel] = image[:, ::-1, channel]
    return mirrored
