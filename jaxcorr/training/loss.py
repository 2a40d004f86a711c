"""The training loss: rate, distortion and spatial correlation of the latents."""

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
    """Weights of the loss terms. A program compiled for one value runs for others.

    Attributes:
      distortion_weight: λ, in bits per pixel per unit of distortion.
      correlation_weight: α, in bits per pixel per unit of correlation loss.
    """

    distortion_weight: Float[Array, "*members"] | float
    correlation_weight: Float[Array, "*members"] | float


@serialization.stored("Objective")
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss `bpp + λ distortion + α correlation_loss`, except for λ and α."""

    distortion: Literal["mse", "ms_ssim"] = "mse"
    """Distortion between image and reconstruction: `mse` on the 0-255 scale, or
    `ms_ssim` for 1 - MS-SSIM."""
    window: int = 7
    """Side of the square correlation window, in latents: odd, from 3 to a sixteenth of
    the crop size."""
    mask: Literal["point", "short_cross", "box", "long_cross"] = "point"
    """Offsets that the correlation loss leaves out: the center of the window (`point`),
    the center and its 4 neighbors (`short_cross`) or 8 neighbors (`box`), or the whole
    row and column of the center (`long_cross`)."""
    correlated: Literal["latent", "quantized"] = "latent"
    """Latents whose correlation is penalized: before quantization (`latent`) or after
    it (`quantized`)."""
    stop_scale_gradient: bool = False
    """Keep gradients of the correlation loss from the predicted scales."""
    pool_channels: bool = True
    """Average the correlation map over all channels. Otherwise each channel has a map
    of its own, and the loss is the mean over channels."""

    def normalized(self, output: CodecOutput) -> Float[Array, "b h16 w16 c"]:
        """Returns latents minus predicted means, divided by predicted scales."""
        return correlation.normalize(
            getattr(output, self.correlated),
            output.mean,
            output.scale,
            stop_scale_gradient=self.stop_scale_gradient,
        )

    def correlation_map(self, output: CodecOutput) -> CorrelationMap:
        """Returns the correlation map, which may be averaged over micro-batches."""
        normalized = self.normalized(output)
        if self.pool_channels:
            return correlation.correlation_map(normalized, window=self.window)
        return correlation.correlation_maps(normalized, window=self.window)

    def correlation_loss(self, average_map: CorrelationMap) -> Float[Array, ""]:
        """Returns the correlation loss, given the map of the whole batch."""
        return jnp.mean(correlation.masked_norm(average_map, self.mask))

    def __call__(
        self,
        output: CodecOutput,
        image: Float[Array, "b h w 3"],
        weights: LossWeights,
        average_map: CorrelationMap | None = None,
    ) -> tuple[Float[Array, ""], Metrics]:
        """Computes the loss of a batch, or of one of its micro-batches.

        The correlation loss is not linear in the map, so its mean over micro-batches
        differs from the loss of the batch. A micro-batch therefore uses the tangent of
        the loss at the map of the whole batch. Value and gradient of this tangent,
        averaged over the micro-batches, equal those of the batch.

        Args:
          output: Output of the codec for `image`.
          image: Images in [0, 1].
          weights: λ and α.
          average_map: Map averaged over all micro-batches. If None, `image` is the
            whole batch.

        Returns:
          The loss in bits per pixel, and the metrics, which include every loss term.
        """
        pixels = image.size // 3
        bpp_y = output.latent_bits.sum() / pixels
        bpp_z = output.side_bits.sum() / pixels
        mse = 255.0**2 * jnp.mean((output.reconstruction - image) ** 2)
        distortion = mse
        if self.distortion == "ms_ssim":
            similarity = image_quality.ms_ssim(output.reconstruction, image)
            distortion = 1 - jnp.mean(similarity)

        own_map = self.correlation_map(output)
        point = jax.lax.stop_gradient(own_map if average_map is None else average_map)
        value, change = jax.jvp(self.correlation_loss, (point,), (own_map - point,))
        correlation_loss = value + change

        loss = bpp_y + bpp_z + weights.distortion_weight * distortion
        loss = loss + weights.correlation_weight * correlation_loss
        return loss, {
            "loss": loss,
            "bpp": bpp_y + bpp_z,
            "bpp_y": bpp_y,
            "bpp_z": bpp_z,
            "mse": mse,
            "distortion": distortion,
            "correlation": correlation_loss,
            "normalized_square": jnp.mean(self.normalized(output) ** 2),
        }
