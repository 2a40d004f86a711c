"""No context: the hyperprior predicts all latents in one pass."""

import dataclasses

from flax import nnx
from jaxtyping import Array
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.parameters import MeanAndScale, mean_and_scale
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
from jaxcorr.quantization import QuantizationName


@serialization.stored("Independent")
@dataclasses.dataclass(frozen=True, kw_only=True)
class NoContext:
    """The mean-scale hyperprior: latents are independent, given side information."""

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "HyperpriorOnly":
        """Builds the context model, which has no parameters."""
        del rngs
        return HyperpriorOnly(channels)


class HyperpriorOnly(PassContext):
    """Takes means and scales from the features of the side information.

    Args:
      channels: Channels of the latents.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, section 2, https://arxiv.org/abs/1809.02736.
    """

    default_quantization: QuantizationName = "noise"

    def __init__(self, channels: int):
        self.schedule = (Pass(channels=(0, channels)),)

    @override
    def predict(self, inputs: tuple[Array, Array], index: int) -> MeanAndScale:
        features, _ = inputs
        return mean_and_scale(features)
