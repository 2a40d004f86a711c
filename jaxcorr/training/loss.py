"""The training loss: rate, distortion and spatial correlation of the latents."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PyTree

from jaxcorr import correlation, correlation_variants, serialization, whitening
from jaxcorr.codec import CodecConfig, CodecOutput, ContextConfig
from jaxcorr.context import seen
from jaxcorr.context.no_context import NoContext
from jaxcorr.errors import UserError, require
from jaxcorr.metrics import image_quality
from jaxcorr.training.averaging import StatisticsAverage, empty_average
from jaxcorr.training.correlation_term import (
    CorrelationTerm,
    Estimator,
    Measure,
    Statistics,
    Weight,
    tangent,
)

Metrics = dict[str, Num[Array, "*members"]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the loss terms. A program compiled for one value runs for others.

    They are numbers, arrays with a weight of each member, or what JAX puts in the place
    of arrays when it describes the arguments of a program.

    Attributes:
      distortion_weight: λ, in bits per pixel per unit of distortion.
      correlation_weight: α, in bits per pixel per unit of correlation loss.
    """

    distortion_weight: PyTree
    correlation_weight: PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs of the loss of a micro-batch, besides its latents.

    Attributes:
      images: Images of the whole batch, over all micro-batches.
      context: Settings of the context model that predicts the latents.
    """

    images: int
    context: ContextConfig = dataclasses.field(default_factory=NoContext)


@serialization.stored("Objective")
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss `bpp + λ distortion + α correlation_loss`, except for λ and α.

    The correlation term is a function of statistics, which are means over the whole
    batch. Micro-batches average their statistics before the function is applied.
    """

    distortion: Literal["mse", "ms_ssim"] = "mse"
    """Distortion between image and reconstruction: `mse` on the 0-255 scale, or
    `ms_ssim` for 1 - MS-SSIM."""
    window: int = 7
    """Side of the square correlation window, in latents: odd, from 3 to a sixteenth of
    the crop size."""
    mask: Literal["point", "short_cross", "box", "long_cross", "context"] = "point"
    """Offsets that the correlation loss leaves out: the center of the window (`point`),
    the center and its 4 neighbors (`short_cross`) or 8 neighbors (`box`), the whole row
    and column of the center (`long_cross`), or what the context model sees (`context`).
    With `context`, each group of channels that is coded together has its own map."""
    correlated: Literal["latent", "quantized"] = "latent"
    """Latents whose correlation is penalized: before quantization (`latent`) or after
    it (`quantized`)."""
    stop_scale_gradient: bool = False
    """Keep gradients of the correlation loss from the predicted scales."""
    pool_channels: bool = True
    """Average the correlation map over all channels. Otherwise each channel has a map
    of its own, and the loss is the mean over channels."""
    measure: Measure = "correlation"
    """The term that α multiplies: the correlation loss (`correlation`), or the bits per
    pixel that prediction from 12 causal neighbors would save (`whitening`), for which
    window, mask and pooling make no difference."""
    estimator: Estimator = "published"
    """How the measure is estimated. `published`: from the mean over the batch.
    `unbiased`: from products of the maps of different images, which white latents make
    0 on average. `averaged`: from the mean over the last steps."""
    average_decay: float = 0.99
    """Decay per step of the mean over steps of `averaged`, which starts as a plain
    mean."""
    weight: Weight = "given"
    """Unit of α: bits per pixel per unit of correlation loss (`given`), or multiples of
    α* = 0.36 M / 256 / v² (`auto`) for M channels and normalized latents of mean square
    v, so that 1 adds the estimated cost of the correlation to the rate once more."""
    price_offset: bool = False
    """Let `whitening` price the mean of each channel apart, by the 0.72 b² bits that an
    offset of b scales costs a latent."""

    def __post_init__(self):
        """Checks the decay, and that the variants fit together."""
        decay = self.average_decay
        require(self, "average_decay", "at least 0 and below 1", 0 <= decay < 1)
        whitens = self.measure == "whitening"
        rule = "false unless measure is whitening"
        require(self, "price_offset", rule, whitens or not self.price_offset)
        rule = "published or averaged if measure is whitening"
        require(self, "estimator", rule, not whitens or self.estimator != "unbiased")
        rule = "given if measure is whitening, which is in bits already"
        require(self, "weight", rule, not whitens or self.weight == "given")

    def check_crops(self, batch: Batch, *, latents: int) -> None:
        """Checks that crops hold the mask, the estimator and the measure.

        Args:
          batch: The smallest batch.
          latents: Latents across a crop.

        Raises:
          UserError: If they do not.
        """
        try:
            self._mask_weights(batch.context)
        except ValueError as error:
            raise UserError(f"loss.mask: {error}") from error
        if self.measure == "whitening" and latents < whitening.SIDE:
            raise UserError(
                f"loss.measure whitening needs {whitening.SIDE} latents across a crop, "
                f"but data.crop-size leaves {latents}"
            )
        is_split = self.estimator == "unbiased" and batch.images == 1
        if is_split and self.window > latents // 2:
            raise UserError(
                f"loss.window must be at most {latents // 2}, half of the latents "
                "across a crop, for loss.estimator unbiased of a single crop, but is "
                f"{self.window}: give data.batch-size and data.held-out-crops of 2"
            )

    def normalized(self, output: CodecOutput) -> Float[Array, "b h16 w16 c"]:
        """Returns latents minus predicted means, divided by predicted scales."""
        return correlation.normalize(
            getattr(output, self.correlated),
            output.mean,
            output.scale,
            stop_scale_gradient=self.stop_scale_gradient,
        )

    def term(self, batch: Batch, channels: int) -> CorrelationTerm:
        """Returns the function that α multiplies, for a batch of latents."""
        groups = ((0, channels),)
        if not self.pool_channels:
            groups = tuple((channel, channel + 1) for channel in range(channels))
        elif self.mask == "context":
            groups = seen.channel_groups(batch.context, channels)
        return CorrelationTerm(
            measure=self.measure,
            estimator=self.estimator,
            weight=self.weight,
            price_offset=self.price_offset,
            window=self.window,
            mask=self._mask_weights(batch.context),
            groups=groups,
            images=batch.images,
        )

    def statistics(self, output: CodecOutput, batch: Batch) -> Statistics:
        """Returns what the correlation term needs of a batch or a micro-batch.

        The mean over micro-batches is that of the batch.

        Args:
          output: Output of the codec for a micro-batch.
          batch: The whole batch.
        """
        normalized = self.normalized(output)
        return self.term(batch, normalized.shape[-1]).statistics(normalized)

    def empty_average(self, codec: CodecConfig) -> StatisticsAverage | None:
        """Returns the average of statistics before the first step, if there is one."""
        if self.estimator != "averaged":
            return None
        side, channels = max(self.window, whitening.SIDE), codec.transforms.channels
        # The shapes of the statistics do not depend on the batch.
        latents = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
        term = self.term(Batch(images=1, context=codec.context), channels)
        return empty_average(jax.eval_shape(term.statistics, latents))

    def __call__(
        self,
        output: CodecOutput,
        image: Float[Array, "b h w 3"],
        weights: LossWeights,
        *,
        batch: Batch | None = None,
    ) -> tuple[Float[Array, ""], Metrics]:
        """Computes the loss of a batch.

        Args:
          output: Output of the codec for `image`.
          image: Images in [0, 1].
          weights: λ and α.
          batch: The batch. If None, `image`, without a context model.

        Returns:
          The loss in bits per pixel, and the metrics, which include every loss term.
        """
        loss, metrics, _ = self.of_part(output, image, weights, batch=batch)
        return loss, metrics

    def of_part(
        self,
        output: CodecOutput,
        image: Float[Array, "b h w 3"],
        weights: LossWeights,
        statistics: Statistics | None = None,
        *,
        batch: Batch | None = None,
        average: StatisticsAverage | None = None,
    ) -> tuple[Float[Array, ""], Metrics, Statistics]:
        """Computes the loss of a batch, or of one of its micro-batches.

        The correlation term is not linear in its statistics, so its mean over
        micro-batches differs from that of the batch. A micro-batch therefore uses the
        tangent of the term at the statistics of the whole batch. Value and gradient of
        this tangent, averaged over the micro-batches, equal those of the batch.

        Args:
          output: Output of the codec for `image`.
          image: Images in [0, 1].
          weights: λ and α.
          statistics: Statistics averaged over all micro-batches. If None, `image` is
            the whole batch.
          batch: The whole batch. If None, `image`, without a context model.
          average: Average over the steps before; the term is then the tangent at the
            average over these steps and this one. If None, this batch counts alone.

        Returns:
          The loss in bits per pixel, the metrics, which include every loss term, and
          the statistics of `image`.
        """
        pixels = image.size // 3
        bpp_y = output.latent_bits.sum() / pixels
        bpp_z = output.side_bits.sum() / pixels
        mse = 255.0**2 * jnp.mean((output.reconstruction - image) ** 2)
        distortion = mse
        if self.distortion == "ms_ssim":
            similarity = image_quality.ms_ssim(output.reconstruction, image)
            distortion = 1 - jnp.mean(similarity)

        batch = batch or Batch(images=len(image))
        term = self.term(batch, output.latent.shape[-1])
        own = self.statistics(output, batch)
        point = own if statistics is None else statistics
        published = tangent(term.published, point, own)
        penalty = published
        if average is not None:
            point = average.updated(point, self.average_decay).average
        if not term.is_published:
            penalty = tangent(term.value, point, own)

        loss = bpp_y + bpp_z + weights.distortion_weight * distortion
        loss = loss + weights.correlation_weight * penalty
        metrics = {
            "loss": loss,
            "bpp": bpp_y + bpp_z,
            "bpp_y": bpp_y,
            "bpp_z": bpp_z,
            "mse": mse,
            "distortion": distortion,
            "correlation": published,
            "normalized_square": jnp.mean(self.normalized(output) ** 2),
        }
        if not term.is_published:
            metrics["penalty"] = penalty
        return loss, metrics, own

    def _mask_weights(self, context: ContextConfig) -> list[list[float]]:
        if self.mask == "context":
            offsets = seen.seen_offsets(context)
            return correlation_variants.context_mask(self.window, offsets)
        return correlation.named_mask(self.mask, self.window)
