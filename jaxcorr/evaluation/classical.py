"""Classical codecs, as baselines: JPEG, JPEG 2000, WebP, AVIF and JPEG XL."""

import contextlib
import dataclasses
import difflib
import importlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import PIL
from jaxtyping import UInt8
from PIL import Image, features

from jaxcorr.errors import UserError
from jaxcorr.evaluation.measure import FileDetails
from jaxcorr.evaluation.metadata import ClassicalMetadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class Codec:
    """A codec of another library.

    Attributes:
      title: Name of the codec with its fixed settings.
      qualities: Qualities that make a rate-distortion curve, by ascending rate.
      unit: Unit and range of a quality, in words.
      check: Raises ValueError for a quality that the codec does not support.
      library: Returns the coding library with its version, or None where it is not
        installed.
      encode: Codes an image at a quality to the bytes of a file.
      decode: Decodes the bytes of a file.
      extra: Extra of jaxcorr that installs the coding library, if one does.
    """

    title: str
    qualities: tuple[float, ...]
    unit: str
    check: Callable[[float], None]
    library: Callable[[], str | None]
    encode: Callable[[np.ndarray, float], bytes]
    decode: Callable[[bytes], np.ndarray]
    extra: str | None = None


def open_codec(name: str) -> Codec:
    """Returns the codec of a name, which is a key of `CODECS`.

    Raises:
      UserError: If the name is unknown, or the installed libraries lack the codec.
    """
    codec = CODECS.get(name)
    if codec is None:
        guess = difflib.get_close_matches(name.lower(), CODECS, 1)
        hint = f" (did you mean {guess[0]}?)" if guess else ""
        names = ", ".join(CODECS)
        raise UserError(f"codec must be one of {names}, but is {name}{hint}")
    if codec.library() is None:
        available = ", ".join(key for key, other in CODECS.items() if other.library())
        remedy = f"pip install 'jaxcorr[{codec.extra}]', or use" if codec.extra else ""
        raise UserError(
            f"codec {name} is missing from the installed libraries: "
            f"{remedy or 'use'} one of {available}"
        )
    return codec


def check_quality(name: str, quality: float) -> None:
    """Checks that a codec is available and supports a quality.

    Raises:
      UserError: If the codec is not available, or the quality is out of its range.
    """
    try:
        open_codec(name).check(quality)
    except ValueError as error:
        raise UserError(f"quality of {name} {error}, but is {quality:g}") from error


@dataclasses.dataclass(frozen=True)
class ClassicalCodec:
    """A classical codec at one quality; an `ImageCodec`.

    Attributes:
      name: Name of the codec, a key of `CODECS`.
      quality: Quality in the codec's own unit, which `Codec.unit` describes.
    """

    name: str
    quality: float

    def __post_init__(self):
        """Checks that the codec is available and supports the quality."""
        check_quality(self.name, self.quality)

    @property
    def title(self) -> str:
        """Name of the codec with its fixed settings and its quality."""
        return f"{CODECS[self.name].title} at {self.quality:g}"

    def metadata(self) -> ClassicalMetadata:
        """Returns the description of the codec for results."""
        codec = CODECS[self.name]
        return ClassicalMetadata(
            codec=self.name,
            title=codec.title,
            quality=self.quality,
            unit=codec.unit,
            library=codec.library(),
        )

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Does nothing, since classical codecs compile nothing."""
        del image

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file."""
        with self._user_errors():
            return CODECS[self.name].encode(image, self.quality)

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], None]:
        """Returns the image that a file holds, and None for the latents."""
        with self._user_errors():
            return CODECS[self.name].decode(data), None

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: None
    ) -> FileDetails:
        """Returns no details, since only learned codecs know them."""
        del image, data, latents
        return FileDetails()

    @contextlib.contextmanager
    def _user_errors(self) -> Iterator[None]:
        """Turns errors of the coding library into user errors."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.name} at quality {self.quality:g}: {error}"
            ) from error


def _pillow_codec(
    title: str,
    file_format: str,
    feature: str,
    options: Callable[[float], Mapping[str, Any]],
    *,
    qualities: tuple[float, ...],
    unit: str = "quality, 0 to 100",
    check: Callable[[float], None] | None = None,
) -> Codec:
    """Returns a codec of Pillow; by default its qualities are integers to 100."""

    def library() -> str | None:
        if not features.check(feature):
            return None
        return f"Pillow {PIL.__version__}, {feature} {features.version(feature)}"

    def encode(image: np.ndarray, quality: float) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format=file_format, **options(quality))
        return buffer.getvalue()

    def decode(data: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    return Codec(
        title=title,
        qualities=qualities,
        unit=unit,
        check=check or _check_integer_quality,
        library=library,
        encode=encode,
        decode=decode,
    )


def _imagecodecs() -> Any | None:
    """Returns the imagecodecs library (Pillow lacks JPEG XL), or None without it."""
    try:
        return importlib.import_module("imagecodecs")
    except ImportError:
        return None


def _jpegxl_library() -> str | None:
    codecs = _imagecodecs()
    if codecs is None or not codecs.JPEGXL.available:
        return None
    return f"imagecodecs {codecs.__version__}, {codecs.jpegxl_version()}"


def _jpegxl_encode(image: np.ndarray, quality: float) -> bytes:
    codecs: Any = _imagecodecs()
    # JPEG XL takes a distance from the original: differences are visible from about 1,
    # and a larger distance is a lower quality.
    return codecs.jpegxl_encode(
        image, distance=quality, effort=7, lossless=False, numthreads=1
    )


def _jpegxl_decode(data: bytes) -> np.ndarray:
    codecs: Any = _imagecodecs()
    return codecs.jpegxl_decode(data)


def _check_integer_quality(quality: float) -> None:
    if not (0 <= quality <= 100 and quality == int(quality)):
        raise ValueError("must be a whole number from 0 to 100")


def _range_check(lowest: float | int, highest: float | int) -> Callable[[float], None]:
    """Returns a check that a quality is in a range."""

    def check(quality: float) -> None:
        if not lowest <= quality <= highest:
            raise ValueError(f"must be from {lowest} to {highest}")

    return check


CODECS: dict[str, Codec] = {
    "jpeg": _pillow_codec(
        "JPEG, 4:2:0",
        "JPEG",
        "jpg",
        lambda quality: {
            "quality": int(quality),
            "subsampling": "4:2:0",
            "optimize": True,
        },
        qualities=(5.0, 10.0, 20.0, 35.0, 50.0, 65.0, 80.0, 90.0, 95.0),
    ),
    "jpeg2000": _pillow_codec(
        "JPEG 2000, 9/7",
        "JPEG2000",
        "jpg_2000",
        lambda quality: {
            "quality_mode": "dB",
            "quality_layers": [quality],
            "irreversible": True,
            # Without the color transform Pillow codes red, green and blue separately,
            # which doubles the rate.
            "mct": 1,
        },
        qualities=(22.0, 24.0, 26.0, 28.0, 30.0, 32.0, 34.0, 36.0, 38.0, 40.0, 42.0),
        unit="PSNR to reach, in dB",
        check=_range_check(1, 100),
    ),
    "webp": _pillow_codec(
        "WebP, method 6",
        "WEBP",
        "webp",
        lambda quality: {"quality": int(quality), "method": 6},
        qualities=(1.0, 10.0, 25.0, 40.0, 55.0, 70.0, 80.0, 90.0, 95.0),
    ),
    "avif": _pillow_codec(
        "AVIF, 4:4:4, speed 6",
        "AVIF",
        "avif",
        lambda quality: {
            "quality": int(quality),
            "subsampling": "4:4:4",
            "speed": 6,
        },
        qualities=(10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0),
    ),
    "jpegxl": Codec(
        title="JPEG XL, effort 7",
        qualities=(15.0, 10.0, 7.0, 5.0, 3.5, 2.5, 1.7, 1.0, 0.5),
        unit="distance, from 25 down to 0.01",
        check=_range_check(0.01, 25),
        library=_jpegxl_library,
        encode=_jpegxl_encode,
        decode=_jpegxl_decode,
        extra="jpegxl",
    ),
}
