"""Runs a codec on large images, in windows, whose rows are read and given from the top.

Analysis and synthesis have activations at the resolution of the image, so they run on
one window at a time. What is between them has a 256th of the positions.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Float32, Shaped, UInt8

from jaxcorr.codec import Codec
from jaxcorr.codec_forward import CodedLatents, code_latents
from jaxcorr.codec_output import CodecOutput, crop_output
from jaxcorr.images import PictureRows
from jaxcorr.layers.valid_region import ValidRegion, masking
from jaxcorr.programs import forgotten
from jaxcorr.quantization import Rounding
from jaxcorr.transforms.base import (
    LATENT_STRIDE,
    SIDE_STRIDE,
    side_across,
)
from jaxcorr.transforms.canvas import (
    canvas_side,
    check_size,
    image_windows,
    valid_region,
)
from jaxcorr.transforms.windows import Network, Plan, read_padded

BEYOND_PIXELS: Literal["edge"] = "edge"
"""Pixels that the analysis sees beyond the image: the last are repeated."""
WINDOW_PIXELS = 2**21
"""Pixels of the largest window of `analyze`; larger ones are not faster."""


@forgotten
@jax.jit
def analyze_window(
    codec: Codec, image: Float[Array, "b h w 3"], region: ValidRegion | None = None
) -> Float[Array, "b h16 w16 c"]:
    """Returns latents before quantization."""
    with masking(region):
        return codec.analyze_image(image)


@forgotten
@jax.jit
def synthesize_window(
    codec: Codec,
    y_hat: Float[Array, "1 h16 w16 c"],
    region: ValidRegion | None = None,
) -> Float[Array, "1 h w 3"]:
    """Returns an image in [0, 1], except for overshoot."""
    with masking(region):
        return codec.synthesize(y_hat)


def analyze_rows(
    network: Network, image: PictureRows, plan: Plan, channels: int
) -> Float32[np.ndarray, "h16 w16 c"]:
    """Returns latents of the padded image.

    Args:
      network: The analysis of a window.
      image: Image, of which the rows of one window are kept at a time.
      plan: Windows on the image.
      channels: Channels of the latents.
    """
    y = np.empty((*plan.extent, channels), np.float32)
    height, _ = image.size

    @functools.lru_cache(maxsize=1)
    def read_rows(start: int, stop: int) -> UInt8[np.ndarray, "rows w 3"]:
        return image.window(start, min(stop, height))

    def read(rows: slice, columns: slice) -> Float32[np.ndarray, "h w 3"]:
        part = read_rows(rows.start, rows.stop)
        within = slice(0, rows.stop - rows.start)
        pixels = read_padded(part, within, columns, BEYOND_PIXELS)
        return pixels.astype(np.float32) / np.float32(255)

    for kept, values in plan.run(network, read):
        y[kept] = values
    return y


def synthesize_rows(
    network: Network,
    read: Callable[[slice, slice], Float32[np.ndarray, "h16 w16 c"]],
    plan: Plan,
    size: tuple[int, int],
) -> Iterator[Shaped[np.ndarray, "rows w 3"]]:
    """Yields the rows of an image from the top, those of one row of windows at a time.

    Args:
      network: The synthesis of a window.
      read: Returns decoded latents at some rows and columns.
      plan: Windows on the image.
      size: Height and width of the image, in pixels.
    """
    height, width = size
    windows = plan.run(network, read)
    for first, row in itertools.groupby(windows, lambda item: item[0][0].start):
        band: Any = None
        for (rows, columns), pixels in row:
            if band is None:
                count = min(rows.stop, height) - first
                band = np.empty((max(count, 0), width, 3), pixels.dtype)
            part = band[:, columns]
            part[...] = pixels[: part.shape[0], : part.shape[1]]
        if len(band):
            yield band


def join_rows(
    bands: Iterable[Shaped[np.ndarray, "rows w 3"]],
    size: tuple[int, int],
    dtype: DTypeLike,
) -> Shaped[np.ndarray, "h w 3"]:
    """Returns an image, of which only one band is in memory twice.

    Args:
      bands: Bands of rows, from the top.
      size: Height and width of the image, in pixels.
      dtype: Type of its pixels.
    """
    image, end = np.empty((*size, 3), dtype), 0
    for band in bands:
        image[end : end + len(band)] = band
        end += len(band)
    return image


def analyze(
    codec: Codec, image: PictureRows, median: Float32[np.ndarray, " s"]
) -> CodecOutput:
    """Encodes and decodes an image, as calling the codec does, in windows.

    Args:
      codec: The codec.
      image: The image.
      median: Center of side information.

    Returns:
      The output for the image, without an axis for batches.
    """
    height, width = image.size
    check_size(height, width)
    canvas = canvas_side(height), canvas_side(width)
    sides = side_across(height), side_across(width)
    per_side = SIDE_STRIDE // LATENT_STRIDE
    extent = sides[0] * per_side, sides[1] * per_side
    transforms = codec.settings.transforms
    reach = transforms.reach

    def plan(reach_of: int, unit: tuple[int, int]) -> Plan:
        windows = image_windows(extent, canvas, reach_of, reach.align, WINDOW_PIXELS)
        return Plan(extent=extent, windows=windows, unit=unit)

    y = analyze_rows(
        functools.partial(analyze_window, codec),
        image,
        plan(reach.analysis, (LATENT_STRIDE, 1)),
        transforms.channels,
    )
    rows, columns = (side // LATENT_STRIDE for side in canvas)
    margins = [(0, rows - extent[0]), (0, columns - extent[1]), (0, 0)]
    size = np.int32(height), np.int32(width)
    coded = _code(codec, np.pad(y, margins)[None], size, jnp.asarray(median))
    seen = np.asarray(coded.seen)[0]

    def read(rows: slice, columns: slice) -> Float32[np.ndarray, "h16 w16 c"]:
        return read_padded(seen, rows, columns, "constant")

    synthesize = functools.partial(synthesize_window, codec)
    synthesis = plan(reach.synthesis, (1, LATENT_STRIDE))
    bands = synthesize_rows(synthesize, read, synthesis, image.size)
    reconstruction = join_rows(bands, image.size, np.float32)
    arrays = coded._asdict() | {"reconstruction": reconstruction[None]}
    del arrays["seen"]
    return crop_output(arrays, image.size)


@forgotten
@jax.jit
def _code(
    codec: Codec,
    y: Float[Array, "1 h16 w16 c"],
    size: tuple[Array, Array],
    median: Float[Array, " s"],
) -> CodedLatents:
    canvas = y.shape[1] * LATENT_STRIDE, y.shape[2] * LATENT_STRIDE
    with masking(valid_region(size, canvas)):
        return code_latents(codec, y, Rounding(), size, median[None, None, None])
