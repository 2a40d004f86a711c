"""Context models with a fixed schedule of passes, over slices and checkerboards.

A subclass of `PassContext` lists its passes and defines the prediction of a pass once,
as pure functions. Training, coding and export call the same functions.
"""

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxcorr.context import pass_coding
from jaxcorr.context.base import CodingState, Prediction
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.schedule import Pass
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.quantization import Quantization, QuantizationName


class PassContext(nnx.Module):
    """A context model whose passes do not depend on the size of the image.

    Subclasses set `schedule` and override `predict`. They may override `prepare`,
    `network_inputs`, `predict_packed` and `refine`.

    Attributes:
      schedule: The passes, in order of their channels.
      refines: Whether the context model predicts rounding errors. If so, every pass
        covers all positions.
      reach: Rows and columns on either side that `predict` and `refine` depend on.
    """

    default_quantization: QuantizationName = "straight_through"
    schedule: tuple[Pass, ...]
    refines: bool = False
    reach: int = 0

    def prepare(
        self, features: Float[Array, "b h16 w16 f"]
    ) -> Float[Array, "b h16 w16 p"]:
        """Returns the input that all passes share, computed once from the features."""
        return features

    def network_inputs(
        self,
        prepared: Float[Array, "b h16 w16 p"],
        latent_hat: Float[Array, "b h16 w16 k"],
        index: int,
    ) -> Any:
        """Returns the inputs of the networks of a pass.

        Args:
          prepared: Output of `prepare`.
          latent_hat: Decoded latents of earlier passes, with zeros where no latent is
            decoded. Channels after the slices of earlier passes may be missing.
          index: Index of the pass.
        """
        del index
        return prepared, latent_hat

    def predict(self, inputs: Any, index: int) -> MeanAndScale:
        """Returns means and scales of a pass, at all positions of its slice.

        Args:
          inputs: Output of `network_inputs`.
          index: Index of the pass.
        """
        raise NotImplementedError

    def predict_packed(self, inputs: Any, index: int) -> MeanAndScale:
        """Returns means and scales of a pass, at its positions alone; see `Pass.pack`.

        Coding needs no others. A subclass may compute less than `predict` for them.
        """
        mean, scale = self.predict(inputs, index)
        part = self.schedule[index]
        return part.pack(mean), part.pack(scale)

    def refine(
        self, inputs: Any, quantized: Float[Array, "b h16 w16 d"], index: int
    ) -> Float[Array, "b h16 w16 d"]:
        """Returns the decoded latents of a pass; called only if `refines`.

        Args:
          inputs: Output of `network_inputs`.
          quantized: Quantized latents of the pass.
          index: Index of the pass.
        """
        raise NotImplementedError

    def forward(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantization: Quantization,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents; see `ContextModel.forward`."""
        prepared = self.prepare(features)
        slices: list[tuple[Array, ...]] = []
        latent_hat = jnp.zeros((*latent.shape[:-1], 0), latent.dtype)
        # The first pass of a slice codes all positions or, in a checkerboard, the
        # anchors. A second pass of the slice, if any, codes the latents between.
        for _, passes in itertools.groupby(
            range(len(self.schedule)), lambda index: self.schedule[index].channels
        ):
            first, *later = passes
            first_pass = self.schedule[first]

            def quantize(mean: Array, first_pass: Pass = first_pass) -> Array:
                # All channels are quantized, since noise has the shape of all latents.
                center = first_pass.place(mean, latent)
                return first_pass.take(quantization.quantize(latent, center))

            inputs = self.network_inputs(prepared, latent_hat, first)
            mean, scale = self.predict(inputs, first)
            for index in later:
                is_anchor = first_pass.mask(latent)
                anchors = jnp.where(is_anchor & coded, quantize(mean), 0.0)
                decoded = jnp.concatenate([latent_hat, anchors], axis=-1)
                inputs = self.network_inputs(prepared, decoded, index)
                later_mean, later_scale = self.predict(inputs, index)
                mean = jnp.where(is_anchor, mean, later_mean)
                scale = jnp.where(is_anchor, scale, later_scale)
            quantized = refined = jnp.where(coded, quantize(mean), 0.0)
            if self.refines:
                refined = self.refine(inputs, quantized, first)
                refined = jnp.where(coded, refined, 0.0)
            latent_hat = jnp.concatenate([latent_hat, refined], axis=-1)
            slices.append((mean, scale, quantized))
        mean, scale, quantized = (
            jnp.concatenate(arrays, axis=-1) for arrays in zip(*slices, strict=True)
        )
        return Prediction(
            mean=mean, scale=scale, quantized=quantized, latent_hat=latent_hat
        )

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of passes, which is the same for all sizes."""
        del height, width
        return len(self.schedule)

    def skew(self, index: int) -> int:
        """Returns the rows by which a pass is behind the first one, in strips."""
        return index * self.reach * (2 if self.refines else 1)

    def num_strips(self, layout: CodingLayout) -> int:
        """Returns the number of strips in which an image is coded."""
        last = self.skew(len(self.schedule) - 1)
        return layout.num_strips(last + self.reach * self.refines)

    def begin_coding(self, features: Rows, layout: CodingLayout) -> CodingState:
        """Returns the state of coding before the first pass."""
        shape = (*layout.coded, self.schedule[-1].channels[1])
        return pass_coding.PassCodingState(
            context=self,
            prepared=features.map(functools.partial(pass_coding.prepare, self)),
            layout=layout,
            latent_hat=np.zeros(shape),
            quantized=np.zeros(shape if self.refines else 0),
        )
