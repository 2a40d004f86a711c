"""Analysis and synthesis of pictures, whose rows are read and given from the top."""

import functools
from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from jaxcorr import programs, windowed_codec
from jaxcorr.bitstream import networks, shared_batches
from jaxcorr.bitstream.memory import LARGEST_WINDOW
from jaxcorr.bitstream.planes import Planes
from jaxcorr.images import PictureRows
from jaxcorr.model import Model
from jaxcorr.transforms.windows import Network, read_padded

BEYOND_IMAGE: Literal["constant", "edge"] = "edge"
"""Latents that the synthesis sees beyond the image: the last are repeated, as the codec
does by `repeat_last_latents`; in format 1 they are zeros."""


def analyze(
    model: Model, image: PictureRows, planes: Planes
) -> Float32[np.ndarray, "h16 w16 c"]:
    """Returns latents on all of the padded image.

    Args:
      model: The model.
      image: Picture, of which the rows of one window are kept at a time.
      planes: Windows on the picture.
    """
    network = _shared(networks.analyze, model, planes)
    channels = model.config.transforms.channels
    return windowed_codec.analyze_rows(network, image, planes.analysis, channels)


def analyze_latents(
    model: Model, y: Float32[np.ndarray, "h16 w16 c"], planes: Planes
) -> Float32[np.ndarray, "h64 w64 s"]:
    """Returns side information before quantization, given latents."""
    z = np.empty((*planes.side_extent, model.median.size), np.float32)

    def read(rows: slice, columns: slice) -> Float32[np.ndarray, "h16 w16 c"]:
        return read_padded(y, rows, columns, "constant")

    network = functools.partial(networks.analyze_latents, model.shared_codec)
    for kept, values in planes.hyper_analysis.run(network, read):
        z[kept] = values
    rows, columns = planes.coded_side
    return z[:rows, :columns]


def synthesize(
    model: Model, latent_hat: Float64[np.ndarray, "h16 w16 c"], planes: Planes
) -> Iterator[UInt8[np.ndarray, "rows w 3"]]:
    """Yields the rows of the picture that decoded latents stand for, from the top.

    Args:
      model: The model.
      latent_hat: Decoded latents.
      planes: Windows on the picture, each row of which gives a band of rows.
    """
    mode = BEYOND_IMAGE if planes.is_masked else "constant"

    def read(rows: slice, columns: slice) -> Float32[np.ndarray, "h16 w16 c"]:
        return read_padded(latent_hat, rows, columns, mode).astype(np.float32)

    network = _shared(networks.synthesize, model, planes)
    with programs.kept_for((model.config, planes.canvas), "reconstruct"):
        yield from windowed_codec.synthesize_rows(
            network, read, planes.synthesis, planes.size
        )


def _shared(program: shared_batches.Program, model: Model, planes: Planes) -> Network:
    """Returns a network that images of one canvas may share.

    A batch has no more pixels than the largest window of an image.
    """
    height, width = planes.canvas
    most = LARGEST_WINDOW // (height * width)
    return functools.partial(shared_batches.run, program, model.shared_codec, most=most)
