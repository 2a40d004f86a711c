"""Classical codecs, as baselines: JPEG, JPEG 2000, WebP, AVIF and JPEG XL."""

import contextlib
import dataclasses
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
      title: Name, with what is fixed about it.
      qualities: Settings that make a curve, from low rates to high ones.
      unit: What a quality means.
      check: Raises ValueError for a quality that the codec has not.
      library: What codes, with its version; None where the build lacks it.
      encode: Image and quality to the bytes of a file.
      decode: Bytes of a file to the image.
    """

    title: str
    qualities: tuple[float, ...]
    unit: str
    check: Callable[[float], None]
    library: Callable[[], str | None]
    encode: Callable[[np.ndarray, float], bytes]
    decode: Callable[[bytes], np.ndarray]


def open_codec(name: str) -> Codec:
    """The codec of a name.

    Raises:
      UserError: If there is none, or the libraries here were built without it.
    """
    codec = CODECS.get(name)
    if codec is None:
        raise UserError(f"codec must be one of {', '.join(CODECS)}, but is {name}")
    if codec.library() is None:
        here = ", ".join(each for each in CODECS if CODECS[each].library())
        raise UserError(f"codec {name} is not in the libraries here; there are {here}")
    return codec


def check_quality(name: str, quality: float) -> None:
    """Refuses a quality that a codec has not.

    Raises:
      UserError: If it is out of the codec's range.
    """
    try:
        open_codec(name).check(quality)
    except ValueError as error:
        raise UserError(f"quality of {name} {error}, but is {quality:g}") from error


@dataclasses.dataclass(frozen=True)
class ClassicalCodec:
    """A classical codec at one quality, as an `ImageCodec`.

    Attributes:
      name: Name of the codec, a key of `CODECS`.
      quality: Quality, in the codec's own unit; see `check_quality`.
    """

    name: str
    quality: float

    def __post_init__(self):
        """Checks that the codec is here and has the quality."""
        check_quality(self.name, self.quality)

    @property
    def title(self) -> str:
        """Name with what is fixed about the codec, and the quality."""
        return f"{CODECS[self.name].title} at {self.quality:g}"

    def metadata(self) -> ClassicalMetadata:
        """Returns what is written beside its measurements."""
        codec = CODECS[self.name]
        return ClassicalMetadata(
            codec=self.name,
            title=codec.title,
            quality=self.quality,
            unit=codec.unit,
            library=codec.library(),
        )

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Does nothing: such codecs have nothing to compile."""
        del image

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file."""
        with self._refusals():
            return CODECS[self.name].encode(image, self.quality)

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], None]:
        """Returns the image that a file holds, and no latents."""
        with self._refusals():
            return CODECS[self.name].decode(data), None

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: None
    ) -> FileDetails:
        """Returns that nothing else is known of a file."""
        del image, data, latents
        return FileDetails()

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Says in one line what the library refuses."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.name} at quality {self.quality:g}: {error}"
            ) from error


def _pillow(
    title: str,
    kind: str,
    feature: str,
    options: Callable[[float], Mapping[str, Any]],
    *,
    qualities: tuple[float, ...],
    unit: str = "quality, 0 to 100",
    check: Callable[[float], None] | None = None,
) -> Codec:
    """A codec that Pillow brings; unless told otherwise, of whole qualities to 100."""

    def library() -> str | None:
        if not features.check(feature):
            return None
        return f"Pillow {PIL.__version__}, {feature} {features.version(feature)}"

    def encode(image: np.ndarray, quality: float) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format=kind, **options(quality))
        return buffer.getvalue()

    def decode(data: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    return Codec(
        title=title,
        qualities=qualities,
        unit=unit,
        check=check or _whole,
        library=library,
        encode=encode,
        decode=decode,
    )


def _imagecodecs() -> Any | None:
    """The imagecodecs library, where it is installed: Pillow reads no JPEG XL."""
    try:
        return importlib.import_module("imagecodecs")
    except ImportError:
        return None


def _jpegxl_library() -> str | None:
    found = _imagecodecs()
    if found is None or not found.JPEGXL.available:
        return None
    return f"imagecodecs {found.__version__}, {found.jpegxl_version()}"


def _jpegxl_encode(image: np.ndarray, quality: float) -> bytes:
    codecs: Any = _imagecodecs()
    # A distance of 1 is about where differences can be seen; quality falls with it.
    return codecs.jpegxl_encode(
        image, distance=quality, effort=7, lossless=False, numthreads=1
    )


def _jpegxl_decode(data: bytes) -> np.ndarray:
    codecs: Any = _imagecodecs()
    return codecs.jpegxl_decode(data)


def _whole(quality: float) -> None:
    if not (0 <= quality <= 100 and quality == int(quality)):
        raise ValueError("must be a whole number from 0 to 100")


def _within(lowest: float | int, highest: float | int) -> Callable[[float], None]:
    def check(quality: float) -> None:
        if not lowest <= quality <= highest:
            raise ValueError(f"must be from {lowest} to {highest}")

    return check


CODECS: dict[str, Codec] = {
    "jpeg": _pillow(
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
    "jpeg2000": _pillow(
        "JPEG 2000, 9/7",
        "JPEG2000",
        "jpg_2000",
        lambda quality: {
            "quality_mode": "dB",
            "quality_layers": [quality],
            "irreversible": True,
            # Without this transform Pillow codes red, green and blue apart, which
            # doubles the rate.
            "mct": 1,
        },
        qualities=(22.0, 24.0, 26.0, 28.0, 30.0, 32.0, 34.0, 36.0, 38.0, 40.0, 42.0),
        unit="PSNR to reach, in dB",
        check=_within(1, 100),
    ),
    "webp": _pillow(
        "WebP, method 6",
        "WEBP",
        "webp",
        lambda quality: {"quality": int(quality), "method": 6},
        qualities=(1.0, 10.0, 25.0, 40.0, 55.0, 70.0, 80.0, 90.0, 95.0),
    ),
    "avif": _pillow(
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
        check=_within(0.01, 25),
        library=_jpegxl_library,
        encode=_jpegxl_encode,
        decode=_jpegxl_decode,
    ),
}
