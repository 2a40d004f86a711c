"""One row of measurements an image, from its real file, for any codec."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from jaxcorr.errors import UserError
from jaxcorr.evaluation.metadata import CodecMetadata
from jaxcorr.metrics import image_quality

Latents = TypeVar("Latents")
"""Type of the latents that a codec decodes; `None` of a codec without latents."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileDetails:
    """What only a learned codec knows of a file; None where there is no such value.

    Attributes:
      estimated_bits: Bits of the file by the continuous entropy model.
      y_bytes: Bytes of the file that hold latents.
      z_bytes: Bytes of the file that hold side information.
      correlation: Correlation loss of the decoded latents.
    """

    estimated_bits: float | None = None
    y_bytes: int | None = None
    z_bytes: int | None = None
    correlation: float | None = None


@runtime_checkable  # So that tests can check types.
class ImageCodec(Protocol[Latents]):
    """A codec at one rate: a model (`learned`) or a classical codec (`classical`)."""

    @property
    def title(self) -> str:
        """Name in headings, which tells it from others that are measured with it."""
        ...

    def metadata(self) -> CodecMetadata:
        """Returns what is written beside its measurements."""
        ...

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Does what is done once for images of this size, such as compiling."""
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
        """Returns what else is known of the file of an image."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageMetrics:
    """What a codec made of an image; None where there is no such value.

    Attributes:
      file: Name of the image.
      width: Of the image, in pixels.
      height: Of the image, in pixels.
      bytes: Size of the coded file, header included.
      bpp: Bits of the file per pixel.
      bpp_estimated: Bits per pixel by the continuous entropy model.
      bpp_y: Bits per pixel of the file that hold latents.
      bpp_z: Bits per pixel of the file that hold side information.
      bpp_header: Bits per pixel of the file that hold neither.
      psnr_db: Of the decoded 8-bit image.
      ms_ssim: Of the decoded 8-bit image.
      correlation: Correlation loss of the decoded latents.
      encode_seconds: From image to bytes, compilation left out.
      decode_seconds: From bytes to image, compilation left out.
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
    """An image after its way through a file.

    Attributes:
      metrics: Its measurements.
      data: The file.
      reconstruction: What was decoded from the file.
      latents: The decoded latents; None of a codec without latents.
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
      codec: The codec.
      image: The image.
      file: What to call it.

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
    row = ImageMetrics(
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
        metrics=row, data=data, reconstruction=reconstruction, latents=latents
    )


def psnr_db(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float:
    """PSNR of an 8-bit image, over all pixels and channels."""
    mse = np.mean((image.astype(np.float64) - reconstruction) ** 2)
    return float(image_quality.psnr_from_mse(float(mse)))


def ms_ssim(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float | None:
    """MS-SSIM of an 8-bit image; None where the image is too small."""
    if min(image.shape[:2]) < image_quality.MS_SSIM_MINIMUM_SIDE:
        return None
    pair = [x[None].astype(np.float32) / 255 for x in (image, reconstruction)]
    return float(image_quality.ms_ssim(*pair)[0])


def mean_metrics(rows: Sequence[ImageMetrics]) -> dict[str, float | None]:
    """Mean of every number over the rows that have it; None where none has."""
    found = {}
    for field in dataclasses.fields(ImageMetrics)[1:]:
        values = [getattr(row, field.name) for row in rows]
        given = [value for value in values if value is not None]
        found[field.name] = float(np.mean(given)) if given else None
    return found
