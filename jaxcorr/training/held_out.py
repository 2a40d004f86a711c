"""The images for evaluation during training, in batches that share a canvas."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, UInt8

from jaxcorr import ops
from jaxcorr.transforms import canvas

BATCH_PIXELS = 2**20
"""Pixels of a batch on each device, unless a single image has more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CanvasBatch:
    """Whole images on canvases of one size.

    Attributes:
      images: Images with values from 0 to 255, padded to the canvas.
      sizes: Height and width of each image, in pixels.
      count: Number of images. The others fill the batch, and are not evaluated.
    """

    images: UInt8[np.ndarray, "n H W 3"]
    sizes: Int32[np.ndarray, "n 2"]
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Images for evaluation.

    Attributes:
      crops: Crops with values from 0 to 255.
      batches: Whole images; without any, crops are evaluated alone.
    """

    crops: UInt8[np.ndarray, "n h w 3"]
    batches: tuple[CanvasBatch, ...] = ()


def batch_by_canvas(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, devices: int
) -> tuple[CanvasBatch, ...]:
    """Puts images on canvases, and those with the same canvas into batches.

    All batches of a canvas have the same number of rows, a multiple of the devices, so
    that a program is compiled once for each canvas.

    Args:
      images: Images with values from 0 to 255, of any sizes.
      devices: Number of devices that share a batch.
    """
    by_canvas: dict[tuple[int, ...], list[tuple[np.ndarray, tuple[int, ...]]]] = {}
    for image in images:
        padded = canvas.pad_to_canvas(image)
        by_canvas.setdefault(padded.shape, []).append((padded, image.shape[:2]))
    batches = []
    for (height, width, _), group in sorted(by_canvas.items()):
        most = max(1, BATCH_PIXELS // (height * width)) * devices
        num_batches = math.ceil(len(group) / most)
        rows = ops.round_up(math.ceil(len(group) / num_batches), devices)
        for start in range(0, len(group), rows):
            part = group[start : start + rows]
            padded, sizes = zip(*part, *group[:1] * (rows - len(part)), strict=True)
            batches.append(
                CanvasBatch(
                    images=np.stack(padded),
                    sizes=np.array(sizes, np.int32),
                    count=len(part),
                )
            )
    return tuple(batches)
