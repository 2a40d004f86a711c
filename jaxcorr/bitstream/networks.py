"""The networks of a codec, compiled once for each of a few canvas sizes.

The networks that feed the range coder must give the same values on any machine, so they
run in float64 unless fast coding is requested. Analysis and synthesis run in the
default precision of the device.
"""

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.codec import Codec
from jaxcorr.errors import UserError

SMALLEST_CANVAS = 128
SIDES_PER_OCTAVE = 4
PIXELS_LIMIT = 2**28
"""Largest canvas, in pixels: the size in a file's header may not fit into memory."""


def canvas_side(pixels: int) -> int:
    """Returns the side of a canvas: 128, 256, 384, 512, 640, 768, 896, 1024, 1280, ….

    There are four sides from a power of two to the next, so that photographs of many
    sizes share a few compiled programs. The canvas is part of the file format.

    Args:
      pixels: Side of the image.
    """
    octave = 1 << (pixels - 1).bit_length()
    step = max(SMALLEST_CANVAS, octave // (2 * SIDES_PER_OCTAVE))
    return ops.round_up(pixels, step)


def check_size(height: int, width: int) -> None:
    """Checks that an image, or the image that a file claims to hold, is not too large.

    Raises:
      UserError: If the canvas has more than `PIXELS_LIMIT` pixels.
    """
    if canvas_side(height) * canvas_side(width) > PIXELS_LIMIT:
        raise UserError(
            f"an image of {width} x {height} pixels is too large: on its canvas it may "
            f"have {PIXELS_LIMIT} at most"
        )


def place_on_canvas(image: np.ndarray) -> Float[np.ndarray, "1 H W 3"]:
    """Scales an 8-bit image to [0, 1], and repeats its last pixels up to the canvas."""
    height, width = image.shape[:2]
    margins = canvas_side(height) - height, canvas_side(width) - width
    padded = np.pad(image, [(0, margins[0]), (0, margins[1]), (0, 0)], mode="edge")
    return padded[None].astype(np.float32) / np.float32(255)


@jax.jit
def analyze(
    codec: Codec, canvas: Float[Array, "1 h w 3"]
) -> tuple[Float[Array, "1 h16 w16 c"], Float[Array, "1 h64 w64 s"]]:
    """Returns latents and side information, before quantization."""
    return codec.analyze(canvas)


@jax.jit
def predict_features(
    codec: Codec, z_hat: Float[Array, "1 h64 w64 s"]
) -> Float[Array, "1 h16 w16 f"]:
    """Returns features of the side information, in the precision of `z_hat`."""
    return codec.predict_features(z_hat)


@jax.jit
def synthesize(codec: Codec, y_hat: Float[Array, "1 h16 w16 c"]) -> Array:
    """Returns the 8-bit image, on its canvas."""
    return jnp.round(jnp.clip(codec.synthesize(y_hat), 0, 1) * 255).astype(jnp.uint8)


@contextlib.contextmanager
def coding_arithmetic(arithmetic: Arithmetic) -> Iterator[type[np.floating]]:
    """Sets the precision and device of the networks that feed the range coder.

    Yields:
      The data type of their inputs.

    Raises:
      UserError: If portable coding is requested and JAX has no device with float64.
    """
    if arithmetic == Arithmetic.FAST:
        with jax.default_matmul_precision("highest"):
            yield np.float32
        return
    # TPUs have no float64; the CPU beside them does.
    platform = "gpu" if jax.default_backend() == "gpu" else "cpu"
    try:
        device = jax.local_devices(backend=platform)[0]
    except RuntimeError as error:
        raise UserError(
            "portable coding needs a device with float64, but JAX_PLATFORMS hides the "
            "CPU: unset it, or code with --fast"
        ) from error
    with jax.enable_x64(True), jax.default_device(device):
        yield np.float64
