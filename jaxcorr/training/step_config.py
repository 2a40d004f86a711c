"""Settings of a training step."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcorr import serialization
from jaxcorr.errors import require
from jaxcorr.quantization import QuantizationName
from jaxcorr.rematerialization import Rematerialization
from jaxcorr.soft_rounding import SHARPNESS_MAXIMUM


@serialization.stored("Step")
@dataclasses.dataclass(frozen=True, kw_only=True)
class StepConfig:
    """Quantization, micro-batches and precision of a training step."""

    quantization: QuantizationName | None = None
    """How latents are quantized in training. `noise`: uniform noise (Ballé et al.
    2017). `straight_through`: rounding with an identity gradient for the decoder,
    uniform noise for the rate. `soft_round`: soft rounding with noise for both
    (Agustsson and Theis 2020). None: the choice of the context model's paper."""
    sharpness_start: float = 1.0
    """Sharpness of soft rounding at the first step, from 0 (uniform noise alone) to 64.
    Only `soft_round` quantization uses it."""
    sharpness_end: float = 5.0
    """Sharpness of soft rounding at the last step, from the sharpness at the first step
    to 64 (almost rounding). It rises linearly over the run. Only `soft_round`
    quantization uses it."""
    micro_batches: int = 1
    """Number of parts of a batch that are computed in turn, to save memory. The
    gradient is that of the whole batch."""
    rematerialization: Rematerialization = "none"
    """Activations that the backward pass computes again in place of keeping them:
    `none`, the activations of the `transforms`, or `all`, which also keeps nothing
    inside of a layer and of the context model. The gradient is the same."""
    transform_dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type in which analysis and synthesis transforms compute. Everything else
    computes in float32."""

    def __post_init__(self):
        """Checks `micro_batches`, and that the sharpness does not decrease."""
        start, end = self.sharpness_start, self.sharpness_end
        most = SHARPNESS_MAXIMUM
        require(self, "micro_batches", "at least 1", self.micro_batches >= 1)
        require(self, "sharpness_start", f"from 0 to {most:g}", 0 <= start <= most)
        rule = f"from sharpness_start ({start:g}) to {most:g}"
        require(self, "sharpness_end", rule, start <= end <= most)

    def sharpness(self, step: Int[Array, ""], *, steps: int) -> Float[Array, ""]:
        """Returns the sharpness of soft rounding at a step.

        Args:
          step: Steps taken before this one.
          steps: Length of the run, in steps.
        """
        progress = jnp.minimum(step / max(steps - 1, 1), 1.0)
        return self.sharpness_start + progress * (
            self.sharpness_end - self.sharpness_start
        )
