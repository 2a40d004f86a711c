"""Compressed files without coded latents."""

from jaxcorr.bitstream.container import Arithmetic, Container


def header_of_a_file() -> bytes:
    """Returns a file of 3 by 5 pixels, complete but for its payloads."""
    return Container(
        arithmetic=Arithmetic.PORTABLE,
        fingerprint=bytes(8),
        width=3,
        height=5,
        z_payload=b"",
        y_payload=b"",
        symbols_checksum=0,
    ).to_bytes()
