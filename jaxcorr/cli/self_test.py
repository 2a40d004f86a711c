"""Checks that this installation codes images and computes the loss as others do.

`KNOWN_FILE` is `known_image()`, encoded with the demo by portable arithmetic. Every
installation must decode its symbols, whose checksum the file holds. Analysis and
synthesis run in float32, whose last digits differ between devices, so the pictures are
compared with a tolerance.
"""

import base64
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, UInt8

from jaxcorr import run_directory
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Container
from jaxcorr.correlation import correlation_loss
from jaxcorr.errors import UserError
from jaxcorr.saved_model import Model

KNOWN_FILE = base64.b64decode(
    """
yEpYQwIAAABkhaYYq4dTFWAAAABQAAAAGAAAAGAAAACupNQil/MlsdfiniuOfRLCn2BbksFNNUJRwDf3
UdWPtCcygNzf0WH+BP3JUdP/P7iaxpEZkZSJh7zPnf+t0Epr1/a6LZeobZtvmsMCgp+5JyHoaiFZkrpD
K5664tYiGFfXORSphF+KaTLQfdVKXPLjjrWKz16f6o5nt1yX3Im6iZI+278=
"""
)
PICTURE_MEANS = (137.043, 128.924, 145.697)
"""Mean red, green and blue of the picture in `KNOWN_FILE`."""
MEAN_TOLERANCE = 0.05
MAX_DIFFERENCE = 0.5
"""Largest mean difference, in levels of 255, of the picture that is coded here."""

LOSS = 0.07422734
"""Correlation loss of `known_latents()`, with mean 0 and scale 1."""
LOSS_TOLERANCE = 1e-4
"""Largest relative difference of the loss."""


def check_file() -> str:
    """Decodes the known file, and returns what was compared.

    Raises:
      UserError: If its symbols or its picture differ on this device.
    """
    picture = _known_picture()
    means = picture.mean(axis=(0, 1))
    difference = float(np.abs(means - PICTURE_MEANS).max())
    if difference > MEAN_TOLERANCE:
        raise UserError(
            f"the picture of the known file has means {means.round(3).tolist()}, not "
            f"{list(PICTURE_MEANS)}"
        )
    return "decodes a known file to the known picture"


def check_coding() -> str:
    """Encodes the test image and decodes it, and returns what was compared.

    Raises:
      UserError: If the decoded picture is not that of the known file.
    """
    model = _packaged_demo()
    container, _ = coding.encode(model, known_image())
    picture, _ = coding.decode(model, container)
    difference = np.abs(picture.astype(np.float64) - _known_picture()).mean()
    if difference > MAX_DIFFERENCE:
        raise UserError(
            f"an image coded here differs by {difference:.2f} levels from the same "
            "image coded elsewhere"
        )
    same = container.to_bytes() == KNOWN_FILE
    return f"encodes an image to {'the known' if same else 'equivalent'} bytes"


def check_loss() -> str:
    """Computes the loss of known latents, and returns what was compared.

    Raises:
      UserError: If the loss differs.
    """
    latents = known_latents()
    ones = jnp.ones_like(latents)
    loss = float(jax.jit(correlation_loss)(latents, 0 * ones, ones))
    if not abs(loss - LOSS) <= LOSS_TOLERANCE * LOSS:
        raise UserError(f"the correlation loss is {loss:.7g}, not {LOSS:.7g}")
    return "computes the known correlation loss"


CHECKS = {"decode": check_file, "encode": check_coding, "loss": check_loss}
"""Checks by name; each returns what it compared or raises an error."""


def known_image() -> UInt8[np.ndarray, "80 96 3"]:
    """Returns a disk on a gradient, in integers, so that all machines agree."""
    y, x = np.mgrid[:80, :96]
    disk = (x - 40) ** 2 + (y - 36) ** 2 < 500
    channels = [2 * x + 30, 3 * y, 220 - x - y]
    image = np.stack(channels, axis=-1) + 60 * disk[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def known_latents() -> Float32[np.ndarray, "1 24 24 4"]:
    """Returns latents between -2 and 2 with spatial correlation."""
    y, x, channel = np.mgrid[:24, :24, :4]
    values: Int[np.ndarray, "24 24 4"] = (7 * x + 5 * y * y + 3 * channel * x) % 17
    return ((values - 8) / 4).astype(np.float32)[None]


@functools.cache
def _known_picture() -> UInt8[np.ndarray, "80 96 3"]:
    """Returns the picture in `KNOWN_FILE`."""
    container = Container.from_bytes(KNOWN_FILE, "the known file")
    return coding.decode(_packaged_demo(), container, name="the known file")[0]


@functools.cache
def _packaged_demo() -> Model:
    """Returns the demo, even beside a run of the same name."""
    return run_directory.load(Path(run_directory.__file__).parent / run_directory.DEMO)
