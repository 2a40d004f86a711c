"""Converts the colors of an image to sRGB."""

import functools
import io
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

SAME = 1
"""Largest difference, of 255, that a profile of sRGB itself makes."""
SRGB_GAMMA = 1 / 2.2
"""Gamma that stands for the curve of sRGB beside its primaries, as programs take it."""
ROWS = 256
"""Rows that are converted at once."""

_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
"""Mode of Pillow of each color space in ICC profiles."""
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""White, red, green and blue of sRGB, each by x and y, as PNG files list them."""


def to_srgb(image: Image.Image, icc: bytes) -> tuple[Image.Image, str | None]:
    """Converts an image to sRGB.

    Args:
      image: Image of mode L, RGB, CMYK or LAB.
      icc: ICC profile of the image; empty if it has none.

    Returns:
      The image in mode L or RGB, and what was changed, in words; None if nothing was.
    """
    if image.mode == "LAB":
        from_lab = _transform("LAB", b"")
        assert from_lab is not None  # It needs no profile.
        return from_lab.apply(image), "L*a*b* converted to sRGB"
    transform = _transform(image.mode, icc) if icc else None
    if transform is not None and transform.changes:
        return transform.apply(image), f"colors converted from {transform.name} to sRGB"
    note = None
    if image.mode == "CMYK":
        note = "CMYK without a profile converted to RGB"
    if icc and transform is None:
        note = "an ICC profile that does not fit was ignored"
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image, note


def is_srgb(icc: bytes) -> bool:
    """Returns whether RGB images with this ICC profile are in sRGB."""
    transform = _transform("RGB", icc) if icc else None
    return not icc or (transform is not None and not transform.changes)


def from_gamma(
    rgb: UInt8[np.ndarray, "h w 3"],
    gamma: float | None,
    chromaticities: tuple[float, ...] | None,
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Converts an image to sRGB that describes its color space as PNG files may.

    Args:
      rgb: The image.
      gamma: Exponent of the curve that encoded linear light; None for that of sRGB.
      chromaticities: White, red, green and blue, each by x and y; None for sRGB.

    Returns:
      The image in sRGB; None if it is in sRGB already, or what it says is impossible.
    """
    values = np.arange(256) / 255
    linear = _linear_srgb(values)
    is_usual = gamma is not None and abs(gamma - SRGB_GAMMA) < 0.01
    if chromaticities is not None:
        is_usual = is_usual and np.allclose(chromaticities, _SRGB, atol=0.002)
    if gamma is not None and gamma > 0 and not is_usual:
        linear = values ** (1 / gamma)
    matrix = np.eye(3)
    if chromaticities is not None:
        try:
            own = _to_xyz(chromaticities)
            matrix = np.linalg.solve(_to_xyz(_SRGB), own)
        except (np.linalg.LinAlgError, FloatingPointError, ValueError):
            return None
    if not np.isfinite(matrix).all():
        return None
    grid = np.stack(np.meshgrid(*[values[::15]] * 3), axis=-1)
    probe = np.rint(grid * 255).astype(np.uint8).reshape(1, -1, 3)
    if np.abs(_convert(probe, linear, matrix).astype(int) - probe).max() <= SAME:
        return None
    parts = [
        _convert(rgb[row : row + ROWS], linear, matrix)
        for row in range(0, len(rgb), ROWS)
    ]
    return np.concatenate(parts)


class _Transform:
    """A conversion of a mode and a profile to sRGB.

    Attributes:
      name: Name of the profile.
      changes: Whether it changes colors by more than `SAME`.
    """

    def __init__(self, mode: str, icc: bytes):
        from PIL import ImageCms

        srgb = ImageCms.createProfile("sRGB")
        if mode == "LAB":
            profile: Any = ImageCms.createProfile("LAB")
        else:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        self._transform = ImageCms.buildTransform(
            profile,
            srgb,
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        opened = getattr(profile, "profile", profile)
        words = str(opened.profile_description or "").split()
        name = " ".join(words)[:40]
        self.name = name if name.isprintable() and name else "its ICC profile"
        self._is_gray = mode == "L"
        self.changes = mode not in ("L", "RGB") or self._moves_colors(mode)

    def apply(self, image: Image.Image) -> Image.Image:
        """Returns an image in sRGB; a gray one stays gray."""
        from PIL import ImageCms

        converted = ImageCms.applyTransform(image, self._transform)
        assert converted is not None  # It is, where it does not work in place.
        return converted.convert("L") if self._is_gray else converted

    def _moves_colors(self, mode: str) -> bool:
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        if mode == "L":
            probe = levels[None]
        else:
            probe = np.stack(np.meshgrid(*[levels] * 3), axis=-1).reshape(1, -1, 3)
        converted = np.asarray(self.apply(Image.fromarray(probe)))
        return bool(np.abs(converted.astype(int) - probe).max() > SAME)


@functools.lru_cache(maxsize=16)
def _transform(mode: str, icc: bytes) -> _Transform | None:
    """Returns a conversion; None if the profile is damaged, or of another mode."""
    if icc and _MODES.get(icc[16:20]) != mode:
        return None
    try:
        return _Transform(mode, icc)
    except Exception:  # Little CMS and Pillow name many reasons.
        return None


def _to_xyz(chromaticities: tuple[float, ...]) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from linear RGB to XYZ, adapted to the white of sRGB."""
    points = np.array(chromaticities, np.float64).reshape(4, 2)
    if (points[:, 1] <= 0).any():
        raise ValueError("a color has no light")
    x, y = points.T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    white, primaries = xyz[:, 0], xyz[:, 1:]
    matrix = primaries * np.linalg.solve(primaries, white)
    target = np.array([_SRGB[0], _SRGB[1], 1 - _SRGB[0] - _SRGB[1]]) / _SRGB[1]
    gains = (_BRADFORD @ target) / (_BRADFORD @ white)
    return np.linalg.solve(_BRADFORD, gains[:, None] * (_BRADFORD @ matrix))


def _convert(
    rgb: UInt8[np.ndarray, "h w 3"],
    linear: Float[np.ndarray, "256"],
    matrix: Float[np.ndarray, "3 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    light = np.clip(linear[rgb] @ matrix.T, 0, 1)
    encoded = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return np.rint(encoded * 255).astype(np.uint8)


def _linear_srgb(values: Float[np.ndarray, "256"]) -> Float[np.ndarray, "256"]:
    return np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
