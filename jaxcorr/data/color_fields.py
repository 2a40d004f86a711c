"""Random fields of color: gradients, stripes, checks, dots and flat areas."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

MAX_AREAS = 24
"""Largest number of flat areas."""


def random_field(
    rng: np.random.Generator, *, size: int, colors: Sequence[tuple[int, int, int]]
) -> Image.Image:
    """Returns a square that is colored by a random function of the place.

    Args:
      rng: Random generator.
      size: Side of the result, in pixels.
      colors: Colors to use, at least two.
    """
    line = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    if rng.random() < 0.3:
        x, y = x + _waves(rng, y), y + _waves(rng, x)
    kind = rng.integers(5)
    if kind == 0:
        return _flat_areas(rng, x, y, np.array(colors, np.uint8))
    angle = rng.uniform(0, 2 * math.pi)
    u = math.cos(angle) * x + math.sin(angle) * y
    v = math.cos(angle) * y - math.sin(angle) * x
    frequency = 3 * 20 ** rng.uniform()
    if kind == 1:  # Checks or dots.
        level = np.sin(frequency * u) * np.sin(frequency * v)
        return _mix(_step(level, (-0.5, 0.0, 0.5)[rng.integers(3)]), colors[:2])
    if kind == 2:  # Stripes or rings.
        distance = u if rng.random() < 0.6 else np.hypot(x - 0.5, y)
        level = np.sin(frequency * 2 * distance)
        return _mix(_step(level, 0.0) if rng.random() < 0.5 else level, colors[:2])
    center = rng.uniform(-1, 1)
    gradient = u if kind == 3 else np.hypot(u, v - center) - 0.5
    if rng.random() < 0.3:  # Bands.
        bands = int(rng.integers(3, 16))
        gradient = np.floor(gradient * bands) / bands
    return _mix(gradient, colors)


def _waves(
    rng: np.random.Generator, place: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Returns a displacement that bends straight edges."""
    amplitude, frequency, phase = rng.uniform(0, (0.2, 12, 6)).tolist()
    return amplitude * np.sin(frequency * place + phase)


def _step(level: Float[np.ndarray, "h w"], edge: float) -> Float[np.ndarray, "h w"]:
    """Returns -1 below an edge and 1 above it."""
    return np.where(level > edge, np.float32(1), np.float32(-1))


def _mix(
    level: Float[np.ndarray, "h w"], colors: Sequence[tuple[int, int, int]]
) -> Image.Image:
    """Returns the color at each level; the colors stand evenly from -1 to 1."""
    levels = np.linspace(-1, 1, 256)
    stops = np.linspace(-1, 1, len(colors))
    table = [np.interp(levels, stops, values) for values in np.transpose(colors)]
    index = np.clip(127.5 * (level + 1), 0, 255).astype(np.uint8)
    return _color(index, np.rint(table).astype(np.uint8).T)


def _flat_areas(
    rng: np.random.Generator,
    x: Float[np.ndarray, "#h #w"],
    y: Float[np.ndarray, "#h #w"],
    colors: UInt8[np.ndarray, "n 3"],
) -> Image.Image:
    """Gives each pixel the color of the nearest of some points, at times with lines."""
    points = rng.uniform(-1, 1, (rng.integers(3, MAX_AREAS), 2)).astype(np.float32)
    shape = np.broadcast_shapes(x.shape, y.shape)
    least, nearest = np.full(shape, np.float32(np.inf)), np.zeros(shape, np.uint8)
    for number, (a, b) in enumerate(points):
        distance = (x - a) ** 2 + (y - b) ** 2
        nearest = np.where(distance < least, np.uint8(number), nearest)
        least = np.minimum(distance, least)
    table = colors[np.arange(len(points) + 1) % len(colors)]
    if rng.random() < 0.4:
        edge = np.zeros(nearest.shape, bool)
        edge[1:] |= nearest[1:] != nearest[:-1]
        edge[:, 1:] |= nearest[:, 1:] != nearest[:, :-1]
        nearest[edge] = len(points)
        table[-1] = colors[0] if rng.random() < 0.3 else 0
    return _color(nearest, table)


def _color(
    index: UInt8[np.ndarray, "h w"], table: UInt8[np.ndarray, "n 3"]
) -> Image.Image:
    """Returns the color of a table at each pixel."""
    image = Image.fromarray(index)
    image.putpalette(table.tobytes())
    return image.convert("RGB")
