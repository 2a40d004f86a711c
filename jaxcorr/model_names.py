"""Short names of models, which stores and files show to people.

A model is identified by its fingerprint. Its name only helps to recognize it.
"""

from jaxcorr.errors import UserError

MAX_BYTES = 24
"""Longest name, in bytes of UTF-8."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def check(name: str) -> str:
    """Returns a name that a user chose.

    Raises:
      UserError: If it is too long, or holds what a name must not hold.
    """
    if _printable(name) != name or not 0 < len(name.encode()) <= MAX_BYTES:
        raise UserError(
            f"the name of a model must be 1 to {MAX_BYTES} bytes of printable text "
            f"without slashes, but is {name!r}"
        )
    return name


def shorten(name: str) -> str:
    """Returns a name with at most `MAX_BYTES` bytes, which keeps its `@MEMBER`."""
    stem, at, member = _printable(name).rpartition("@")
    end = at + member if at and member.isdecimal() and len(member) < 9 else ""
    stem = stem if end else _printable(name)
    return _cut(stem, MAX_BYTES - len(end)) + end


def to_bytes(name: str) -> bytes:
    """Returns a name as it is in files."""
    return shorten(name).encode()


def from_bytes(data: bytes) -> str:
    """Returns a name from a file, without what could disturb a terminal."""
    return shorten(data[:MAX_BYTES].decode(errors="replace"))


def _printable(text: str) -> str:
    """Returns a text with a mark in place of all that a name must not hold."""
    return "".join(
        letter if letter.isprintable() and letter not in "/\\" else _REPLACEMENT
        for letter in text
    )


def _cut(text: str, size: int) -> str:
    """Returns the beginning of a text that takes at most `size` bytes."""
    return text.encode()[:size].decode(errors="ignore")
