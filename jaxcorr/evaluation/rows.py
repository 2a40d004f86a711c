"""One row of measurements an image, from its real file."""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcorr import correlation, metrics
from jaxcorr.bitstream import coding, networks
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.bitstream.passes import Latents
from jaxcorr.codec import Codec
from jaxcorr.model_folder import Model

WINDOW = 7
"""Window of the correlation that is reported, the one of the published figure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
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
class Coded:
    """An image after its way through a file.

    Attributes:
      row: Its measurements.
      data: The file.
      reconstruction: What was decoded from the file.
      latents: The decoded latents.
    """

    row: Row
    data: bytes
    reconstruction: UInt8[np.ndarray, "h w 3"]
    latents: Latents


def measure(
    model: Model,
    image: UInt8[np.ndarray, "h w 3"],
    file: str,
    *,
    arithmetic: Arithmetic = Arithmetic.PORTABLE,
) -> Coded:
    """Codes an image to the bytes of a file, decodes them and measures both.

    Args:
      model: What codes it.
      image: The image.
      file: What to call it.
      arithmetic: As in `coding.encode`.
    """
    _compile_once(model, tuple(map(networks.canvas_side, image.shape[:2])), arithmetic)
    start = time.perf_counter()
    data = coding.encode(model, image, arithmetic=arithmetic)[0].to_bytes()
    middle = time.perf_counter()
    container = Container.from_bytes(data, file)
    reconstruction, latents = coding.decode(model, container, name=file)
    end = time.perf_counter()

    height, width = image.shape[:2]
    per_pixel = 8 / (height * width)
    payload = len(container.y_payload) + len(container.z_payload)
    row = Row(
        file=file,
        width=width,
        height=height,
        bytes=len(data),
        bpp=len(data) * per_pixel,
        bpp_estimated=estimated_bits(model, image) / (height * width),
        bpp_y=len(container.y_payload) * per_pixel,
        bpp_z=len(container.z_payload) * per_pixel,
        bpp_header=(len(data) - payload) * per_pixel,
        psnr_db=psnr_db(image, reconstruction),
        ms_ssim=ms_ssim(image, reconstruction),
        correlation=_correlation(latents),
        encode_seconds=middle - start,
        decode_seconds=end - middle,
    )
    return Coded(row=row, data=data, reconstruction=reconstruction, latents=latents)


def psnr_db(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float:
    """PSNR of an 8-bit image, over all pixels and channels."""
    mse = np.mean((image.astype(np.float64) - reconstruction) ** 2)
    return float(metrics.psnr_from_mse(float(mse)))


def ms_ssim(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float | None:
    """MS-SSIM of an 8-bit image; None where the image is too small."""
    if min(image.shape[:2]) < metrics.MS_SSIM_MINIMUM_SIDE:
        return None
    pair = [x[None].astype(np.float32) / 255 for x in (image, reconstruction)]
    return float(metrics.ms_ssim(*pair)[0])


def estimated_bits(model: Model, image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Bits of latents and side information by the continuous entropy model."""
    return float(
        _estimated_bits(
            model.codec,
            networks.place_on_canvas(image),
            *map(jnp.int32, image.shape[:2]),
            model.median,
        )
    )


def means(rows: list[Row]) -> dict[str, float | None]:
    """Mean of every number over the rows that have it; None where none has."""
    found = {}
    for field in dataclasses.fields(Row)[1:]:
        values = [getattr(row, field.name) for row in rows]
        given = [value for value in values if value is not None]
        found[field.name] = float(np.mean(given)) if given else None
    return found


def _correlation(latents: Latents) -> float | None:
    if min(latents.symbols.shape[:2]) < WINDOW:
        return None
    # A symbol is the distance of a quantized latent from its mean.
    distance = latents.symbols.astype(np.float64)[None]
    return float(
        correlation.correlation_loss(
            distance, np.zeros_like(distance), latents.scale[None]
        )
    )


@jax.jit
def _estimated_bits(
    codec: Codec,
    canvas: Float[Array, "1 h w 3"],
    rows: Array,
    columns: Array,
    median: Float[Array, " s"],
) -> Float[Array, ""]:
    output = codec(canvas, size=(rows, columns), median=median)
    return output.latent_bits.sum() + output.side_bits.sum()


@functools.lru_cache(maxsize=256)
def _compile_once(
    model: Model, canvas: tuple[int, int], arithmetic: Arithmetic
) -> None:
    """Codes a blank image of each new size once, so that times hold no compilation."""
    blank = np.zeros((*canvas, 3), np.uint8)
    container, _ = coding.encode(model, blank, arithmetic=arithmetic)
    coding.decode(model, container)
