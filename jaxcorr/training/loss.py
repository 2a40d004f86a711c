"""The objective: rate, distortion and the correlation that is left."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxcorr import correlation, serialization
from jaxcorr.codec import CodecOutput
from jaxcorr.metrics import image_quality

CorrelationMap = Float[Array, "*c window window"]
Metrics = dict[str, Num[Array, "*members"]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the terms, as traced arrays: another value does not recompile.

    Attributes:
      distortion_weight: λ, in bits per pixel per unit of distortion.
      correlation_weight: α, in bits per pixel per unit of correlation loss.
    """

    distortion_weight: Float[Array, "*members"]
    correlation_weight: Float[Array, "*members"]


@serialization.stored("Objective")
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """`bpp + λ distortion + α correlation_loss`, for any λ and α."""

    distortion: Literal["mse", "ms_ssim"] = "mse"
    """What is measured between image and reconstruction."""
    window: int = 7
    """Side of the correlation window, in latents; odd."""
    mask: Literal["point", "short_cross", "box", "long_cross"] = "point"
    """Which offsets around the center of the window do not count."""
    correlated: Literal["latent", "quantized"] = "latent"
    """Which latents are normalized: before quantization, or after it."""
    stop_scale_gradient: bool = False
    """Whether the loss leaves the predicted scale alone."""
    pool_channels: bool = True
    """Whether all channels share one map, or each has its own."""

    def normalized(self, output: CodecOutput) -> Float[Array, "b h16 w16 c"]:
        """Latents in units of their predicted distribution."""
        return correlation.normalize(
            getattr(output, self.correlated),
            output.mean,
            output.scale,
            stop_scale_gradient=self.stop_scale_gradient,
        )

    def correlation_map(self, output: CodecOutput) -> CorrelationMap:
        """What the correlation loss is the norm of; may be averaged over batches."""
        normalized = self.normalized(output)
        if self.pool_channels:
            return correlation.correlation_map(normalized, window=self.window)
        return correlation.correlation_maps(normalized, window=self.window)

    def correlation_loss(self, average: CorrelationMap) -> Float[Array, ""]:
        """The correlation loss, from the map averaged over the whole batch."""
        return jnp.mean(correlation.masked_norm(average, self.mask))

    def __call__(
        self,
        output: CodecOutput,
        image: Float[Array, "b h w 3"],
        weights: LossWeights,
        average: CorrelationMap | None = None,
    ) -> tuple[Float[Array, ""], Metrics]:
        """The objective on a batch, or on one of the micro-batches of a batch.

        The correlation loss is not linear in the map, so its mean over micro-batches is
        not that of the batch. Its tangent at the map of the whole batch is: value and
        gradient, averaged over the micro-batches, are those of the batch.

        Args:
          output: What the codec made of `image`.
          image: Images in [0, 1].
          weights: λ and α.
          average: Map averaged over all micro-batches; if None, `image` is the batch.
        """
        pixels = image.size // 3
        bpp_y = output.latent_bits.sum() / pixels
        bpp_z = output.side_bits.sum() / pixels
        mse = 255.0**2 * jnp.mean((output.reconstruction - image) ** 2)
        if self.distortion == "mse":
            distortion = mse
        else:
            distortion = 1 - jnp.mean(
                image_quality.ms_ssim(output.reconstruction, image)
            )

        here = self.correlation_map(output)
        average = jax.lax.stop_gradient(here if average is None else average)
        value, change = jax.jvp(self.correlation_loss, (average,), (here - average,))
        correlated = value + change

        loss = bpp_y + bpp_z + weights.distortion_weight * distortion
        loss = loss + weights.correlation_weight * correlated
        return loss, {
            "loss": loss,
            "bpp": bpp_y + bpp_z,
            "bpp_y": bpp_y,
            "bpp_z": bpp_z,
            "mse": mse,
            "distortion": distortion,
            "correlation": correlated,
            "normalized_square": jnp.mean(self.normalized(output) ** 2),
        }
