"""The networks of a codec, compiled once for each of a few sizes of their arrays.

An array is the canvas of an image, or a window on a large one. A valid region, whose
size is traced, keeps what lies beyond the image from the networks.

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

from jaxcorr import compatibility, windowed_codec
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.codec import Codec
from jaxcorr.errors import UserError
from jaxcorr.layers.valid_region import ValidRegion, masking
from jaxcorr.programs import forgotten

analyze = windowed_codec.analyze_window


@forgotten
@jax.jit
def analyze_latents(
    codec: Codec, y: Float[Array, "1 h16 w16 c"], region: ValidRegion | None = None
) -> Float[Array, "1 h64 w64 s"]:
    """Returns side information before quantization."""
    with masking(region):
        return codec.analyze_latents(y)


@forgotten
@jax.jit
def predict_features(
    codec: Codec,
    z_hat: Float[Array, "1 h64 w64 s"],
    region: ValidRegion | None = None,
) -> Float[Array, "1 h16 w16 f"]:
    """Returns features of the side information, in the precision of `z_hat`."""
    with masking(region):
        return codec.predict_features(z_hat)


@forgotten
@jax.jit
def synthesize(
    codec: Codec,
    y_hat: Float[Array, "b h16 w16 c"],
    region: ValidRegion | None = None,
) -> Array:
    """Returns 8-bit images."""
    with masking(region):
        image = codec.synthesize(y_hat)
    return jnp.round(jnp.clip(image, 0, 1) * 255).astype(jnp.uint8)


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
    with compatibility.enable_x64(True), jax.default_device(device):
        yield np.float64
