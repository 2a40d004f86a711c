"""Measures a codec, learned or classical, on images through real files."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from jaxcorr.errors import UserError
from jaxcorr.evaluation.metadata import CodecMetadata
from jaxcorr.metrics import image_quality
from jaxcorr.metrics.image_quality import psnr_db as psnr_db  # Its place until 0.2.

Latents = TypeVar("Latents")
"""Type of the latents that a codec decodes; `None` for a codec without latents."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileDetails:
    """Details of a file that only a learned codec knows; None for a missing value.

    Attributes:
      estimated_bits: Bits of the image by the continuous entropy model.
      y_bytes: Size of the latents in the file.
      z_bytes: Size of the side information in the file.
      correlation: Correlation loss of the decoded latents.
    """

    estimated_bits: float | None = None
    y_bytes: int | None = None
    z_bytes: int | None = None
    correlation: float | None = None


@runtime_checkable  # Tests check the types of arguments.
class ImageCodec(Protocol[Latents]):
    """A codec at one rate point, such as a `LearnedCodec` or a `ClassicalCodec`."""

    @property
    def title(self) -> str:
        """Name of the codec in headings; includes the model or the quality."""
        ...

    def metadata(self) -> CodecMetadata:
        """Returns the description of the codec for results."""
        ...

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Prepares for images of this size, for example by compiling; not timed."""
        ...

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file.

        Raises:
          UserError: If the codec cannot code the image.
        """
        ...

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], Latents]:
        """Returns the image that a file holds, and the decoded latents.

        Raises:
          UserError: If the codec cannot decode the file.
        """
        ...

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: Latents
    ) -> FileDetails:
        """Returns what only the codec knows of the file of an image."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageMetrics:
    """Measurements of a codec on an image; None for a missing value.

    Attributes:
      file: Name of the image.
      width: Width of the image, in pixels.
      height: Height of the image, in pixels.
      bytes: Size of the coded file, header included.
      bpp: Bits per pixel of the coded file.
      bpp_estimated: Bits per pixel by the continuous entropy model.
      bpp_y: Bits per pixel of the latents in the file.
      bpp_z: Bits per pixel of the side information in the file.
      bpp_header: Bits per pixel of the header of the file.
      psnr_db: PSNR of the decoded 8-bit image, in dB.
      ms_ssim: MS-SSIM of the decoded 8-bit image.
      correlation: Correlation loss of the decoded latents.
      encode_seconds: Time from image to bytes, without compilation.
      decode_seconds: Time from bytes to image, without compilation.
    """

    file: str
    width: int
    height: int
    bytes: int
    bpp: float
    bpp_estimated: float | None = None
    bpp_y: float | None = None
    bpp_z: float | None = None
    bpp_header: float | None = None
    psnr_db: float
    ms_ssim: float | None = None
    correlation: float | None = None
    encode_seconds: float | None = None
    decode_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CodedImage(Generic[Latents]):
    """An image that was coded to a file and decoded from it.

    Attributes:
      metrics: Measurements of the codec on the image.
      data: Bytes of the file.
      reconstruction: Image decoded from the file.
      latents: Latents decoded from the file; None for a codec without latents.
    """

    metrics: ImageMetrics
    data: bytes
    reconstruction: UInt8[np.ndarray, "h w 3"]
    latents: Latents


def measure_image(
    codec: ImageCodec[Latents], image: UInt8[np.ndarray, "h w 3"], file: str
) -> CodedImage[Latents]:
    """Codes an image to the bytes of a file, decodes them and measures both.

    Args:
      codec: Codec to measure.
      image: Image to code.
      file: Name of the image in the measurements and in errors.

    Raises:
      UserError: If the codec cannot code the image.
    """
    try:
        codec.prepare(image)
        start = time.perf_counter()
        data = codec.encode(image)
        middle = time.perf_counter()
        reconstruction, latents = codec.decode(data)
        end = time.perf_counter()
    except UserError as error:
        raise UserError(f"{file}: {error}") from error

    height, width = image.shape[:2]
    per_pixel = 8 / (height * width)
    details = codec.details(image, data, latents)
    y, z, estimated = details.y_bytes, details.z_bytes, details.estimated_bits
    header = None if y is None or z is None else len(data) - y - z
    metrics = ImageMetrics(
        file=file,
        width=width,
        height=height,
        bytes=len(data),
        bpp=len(data) * per_pixel,
        bpp_estimated=None if estimated is None else estimated / (height * width),
        bpp_y=None if y is None else y * per_pixel,
        bpp_z=None if z is None else z * per_pixel,
        bpp_header=None if header is None else header * per_pixel,
        psnr_db=psnr_db(image, reconstruction),
        ms_ssim=ms_ssim(image, reconstruction),
        correlation=details.correlation,
        encode_seconds=middle - start,
        decode_seconds=end - middle,
    )
    return CodedImage(
        metrics=metrics, data=data, reconstruction=reconstruction, latents=latents
    )


def ms_ssim(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float | None:
    """Returns the MS-SSIM of an 8-bit image, or None if the image is too small."""
    if min(image.shape[:2]) < image_quality.MS_SSIM_MINIMUM_SIDE:
        return None
    pair = [x[None].astype(np.float32) / 255 for x in (image, reconstruction)]
    # One channel at a time, which takes a third of the memory.
    channels = zip(*(np.split(x, x.shape[-1], axis=-1) for x in pair), strict=True)
    return float(np.mean([image_quality.ms_ssim(*channel)[0] for channel in channels]))


def with_ms_ssim(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows, as JSON, of the images that are large enough for MS-SSIM."""
    return [row for row in rows if row.get("ms_ssim") is not None]


def describe_ms_ssim(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns a sentence about MS-SSIM that is a mean over some images only.

    Args:
      rows: Measurements of all images, as JSON.

    Returns:
      The sentence, with the rate of these images; None if all or none have MS-SSIM.
    """
    large = with_ms_ssim(rows)
    if len(large) in (0, len(rows)):
        return None
    rate = np.mean([row["bpp"] for row in large])
    return (
        f"MS-SSIM is the mean of {len(large)} of {len(rows)} images with at least "
        f"{image_quality.MS_SSIM_MINIMUM_SIDE} pixels a side, which take "
        f"{rate:.4f} bpp."
    )


def mean_metrics(rows: Sequence[ImageMetrics]) -> dict[str, float | None]:
    """Returns the mean of every metric over the images that have a value.

    The mean is None for a metric that no image has.
    """
    means = {}
    for field in dataclasses.fields(ImageMetrics)[1:]:
        values = [getattr(row, field.name) for row in rows]
        known = [value for value in values if value is not None]
        means[field.name] = float(np.mean(known)) if known else None
    return means
