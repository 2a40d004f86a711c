"""An image as 8-bit RGB, with what a compressed file keeps beside the pixels."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor

from jaxcorr.errors import UserError
from jaxcorr.images import color

WHITE = (255, 255, 255)

Color = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """Metadata of an image file; empty where the file holds none.

    Attributes:
      exif: EXIF data in the form of a TIFF file. Its orientation is 1, since pixels
        are stored upright.
      xmp: XMP packet.
      icc: ICC profile of the color space of the pixels; empty for sRGB.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""


def describe_changes(name: str, changes: Sequence[str]) -> str | None:
    """Returns one line that says what was changed; None if nothing was.

    Args:
      name: Name of the image.
      changes: The changes, in words.
    """
    return f"{name}: {', '.join(changes)}" if changes else None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An image as 8-bit RGB, with what a file keeps beside it.

    Attributes:
      rgb: Pixels, in sRGB unless the metadata has an ICC profile. They are white where
        the image is fully transparent.
      alpha: Opacity, from 0 to 255; None if the image is opaque.
      is_gray: Whether red, green and blue are equal in all pixels.
      metadata: What is kept on request.
      changes: What reading or writing changed, in words.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    alpha: UInt8[np.ndarray, "h w"] | None = None
    is_gray: bool = False
    metadata: Metadata = dataclasses.field(default_factory=Metadata)
    changes: tuple[str, ...] = ()

    def over(self, background: Color = WHITE) -> "Picture":
        """Returns an opaque picture, with the transparent one laid over a color."""
        if self.alpha is None:
            return self
        pixels = Image.new("RGBA", self.alpha.shape[::-1], background)
        pixels.alpha_composite(_rgba(self.rgb, self.alpha))
        return dataclasses.replace(
            self,
            rgb=np.asarray(pixels.convert("RGB")),
            alpha=None,
            is_gray=self.is_gray and len(set(background)) == 1,
            changes=(
                *self.changes,
                f"transparency laid over {_name_color(background)}",
            ),
        )

    def as_gray(self) -> "Picture":
        """Returns the picture with the luma of each pixel in place of its color."""
        gray = Image.fromarray(self.rgb).convert("L")
        rgb = np.asarray(gray.convert("RGB"))
        return dataclasses.replace(self, rgb=rgb, is_gray=True)

    def in_srgb(self) -> "Picture":
        """Returns the picture in sRGB, without an ICC profile."""
        if not self.metadata.icc:
            return self
        metadata = dataclasses.replace(self.metadata, icc=b"")
        image = Image.fromarray(self.rgb)
        if is_gray_profile(self.metadata.icc):
            image = image.convert("L")
        converted, _ = color.to_srgb(image, self.metadata.icc)
        rgb = np.asarray(converted.convert("RGB"))
        return dataclasses.replace(self, rgb=rgb, metadata=metadata)

    def note(self, name: str) -> str | None:
        """Returns one line that says what was changed; None if nothing was.

        Args:
          name: Name of the image.
        """
        return describe_changes(name, self.changes)

    def to_pillow(self) -> Image.Image:
        """Returns an image of Pillow: L, LA, RGB or RGBA, with the metadata in `info`.

        A gray picture with an RGB profile becomes RGB, as the profile demands.
        """
        if self.alpha is None:
            image = Image.fromarray(self.rgb)
        else:
            image = _rgba(self.rgb, self.alpha)
        mode = pillow_mode(self.is_gray, self.alpha is not None, self.metadata)
        image = image if image.mode == mode else image.convert(mode)
        image.info.update(pillow_info(self.metadata))
        return image


def pillow_mode(is_gray: bool, is_transparent: bool, metadata: Metadata) -> str:
    """Returns the mode of a picture as an image of Pillow; see `Picture.to_pillow`."""
    if is_gray and (not metadata.icc or is_gray_profile(metadata.icc)):
        return "LA" if is_transparent else "L"
    return "RGBA" if is_transparent else "RGB"


def pillow_info(metadata: Metadata) -> dict[str, bytes]:
    """Returns metadata as Pillow has them in `info`."""
    info = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
    return {key: value for key, value in info.items() if value}


def is_gray_profile(icc: bytes) -> bool:
    """Returns whether an ICC profile is one of gray images."""
    return icc[16:20] == b"GRAY"


def is_gray(rgb: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Returns whether red, green and blue are equal in all pixels."""
    first = rgb[..., 0]
    return all(np.array_equal(first, rgb[..., channel]) for channel in (1, 2))


def parse_color(text: str) -> Color:
    """Returns the color of a name, such as "white", or of digits, as in "#ffcc00".

    Raises:
      UserError: If the text is not a color.
    """
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UserError(
            f"background must be a color, as in white or #ffcc00, but is {text!r}"
        ) from error


def _name_color(color: Color) -> str:
    """Returns a color in words, or in digits."""
    return {WHITE: "white", (0, 0, 0): "black"}.get(
        color, "#{:02x}{:02x}{:02x}".format(*color)
    )


def _rgba(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"]
) -> Image.Image:
    image = Image.fromarray(rgb)
    image.putalpha(Image.fromarray(alpha))
    return image
