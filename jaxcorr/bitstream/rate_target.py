"""Targets for the rate or the quality of a file: `bpp`, `size` and `psnr`."""

import dataclasses
import math
import re
from typing import Any, Literal

from jaxcorr.errors import UserError

Kind = Literal["bpp", "size", "psnr"]
UNITS: dict[Kind, str] = {"bpp": "bpp", "size": "bytes", "psnr": "dB"}
DIGITS: dict[Kind, int] = {"bpp": 4, "size": 0, "psnr": 2}
"""Digits after the decimal point that are printed."""

BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
"""Bytes of each unit of a size, in lower case."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatePoint:
    """Size and quality of an image that is coded with a model.

    Attributes:
      bytes: Size of the file.
      bpp: Bits per pixel of the file.
      psnr_db: PSNR of the decoded 8-bit image, in dB; not a number if not known.
    """

    bytes: float
    bpp: float
    psnr_db: float


@dataclasses.dataclass(frozen=True)
class RateTarget:
    """A limit for the file of an image.

    Attributes:
      kind: What is limited: the bits per pixel or the bytes from above, or the PSNR of
        the decoded 8-bit image from below.
      value: The limit, in bits per pixel, bytes or dB.
    """

    kind: Kind
    value: float

    @property
    def limits_size(self) -> bool:
        """Is true if the limit is one of the size, not of the quality."""
        return self.kind != "psnr"

    def measure(self, point: RatePoint) -> float:
        """Returns what the target limits."""
        values = {"bpp": point.bpp, "size": point.bytes, "psnr": point.psnr_db}
        return values[self.kind]

    def excess_db(self, point: RatePoint) -> float:
        """Returns by how much the limit is missed, in dB; at most 0 if it is met."""
        if self.limits_size:
            return 10 * math.log10(self.measure(point) / self.value)
        return self.value - point.psnr_db

    def cost(self, point: RatePoint) -> tuple[float, float]:
        """Returns what orders points that meet the target, the best one first.

        It has the best quality if the size is limited, otherwise the smallest file.
        """
        if self.limits_size:
            return -point.psnr_db, point.bytes
        return point.bytes, -point.psnr_db

    def format(self, value: float) -> str:
        """Returns a value of what the target limits, without its unit."""
        return f"{value:.{DIGITS[self.kind]}f}"

    def __str__(self) -> str:
        """Returns the limit with its unit."""
        number = f"{self.value:.0f}" if self.kind == "size" else f"{self.value:g}"
        return f"{number} {UNITS[self.kind]}"


def make_target(
    *,
    bpp: float | int | None = None,
    psnr: float | int | None = None,
    size: float | int | str | None = None,
) -> RateTarget | None:
    """Returns the target that one of several options sets, or None without any.

    Args:
      bpp: Highest bits per pixel of the file.
      psnr: Lowest PSNR of the decoded image, in dB.
      size: Highest size of the file, in bytes or as in "20KB", "1.5MB" and "20KiB".

    Raises:
      UserError: If several options are given, or one is not a positive number.
    """
    options: dict[Kind, Any] = {"bpp": bpp, "psnr": psnr, "size": size}
    given: list[Kind] = [kind for kind in options if options[kind] is not None]
    if not given:
        return None
    if len(given) > 1:
        raise UserError(f"give one of bpp, psnr and size, not {' and '.join(given)}")
    (kind,) = given
    value = float(parse_bytes(size, "size") if isinstance(size, str) else options[kind])
    if not 0 < value < math.inf:
        raise UserError(f"{kind} must be a positive number, but is {options[kind]}")
    return RateTarget(kind, value)


def memory_limit(memory: float | int | str | None) -> int | None:
    """Returns the bytes of a limit of memory, such as "2GB"; None for no limit.

    Raises:
      UserError: If it is not a positive number of bytes.
    """
    if memory is None:
        return None
    value = parse_bytes(memory, "memory") if isinstance(memory, str) else memory
    if not 0 < value < math.inf:
        raise UserError(f"memory must be a positive number, but is {memory}")
    return int(value)


def parse_bytes(text: str, name: str) -> float:
    """Returns the bytes of a size such as "20KB".

    Args:
      text: The size.
      name: Name of the setting, for messages.

    Raises:
      UserError: If the text is not a size.
    """
    match = re.fullmatch(r"([0-9]+|[0-9]*\.[0-9]+) *([a-z]*)", text.strip().lower())
    if match is None or match[2] not in BYTES:
        raise UserError(
            f"{name} must be a number of bytes, as in 20000, 20KB or 1.5MB, but is "
            f"{text!r}"
        )
    return float(match[1]) * BYTES[match[2]]
