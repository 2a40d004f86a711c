"""No context: side information alone predicts the latents, all in one pass."""

import dataclasses

from flax import nnx
from jaxtyping import Array
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.parameters import MeanAndScale, mean_and_scale
from jaxcorr.context.passes import Pass, PassContext
from jaxcorr.quantization import QuantizationName


@serialization.stored("Independent")
@dataclasses.dataclass(frozen=True, kw_only=True)
class NoContext:
    """Latents are independent, given the side information: the hyperprior."""

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "HyperpriorOnly":
        """Returns the context model; it has no parameters."""
        del rngs
        return HyperpriorOnly(channels)


class HyperpriorOnly(PassContext):
    """Reads mean and scale off the features of the side information.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, section 2, https://arxiv.org/abs/1809.02736.
    """

    default_quantization: QuantizationName = "noise"

    def __init__(self, channels: int):
        """Has one pass over these channels."""
        self.schedule = (Pass(channels=(0, channels)),)

    @override
    def predict(self, seen: tuple[Array, Array], index: int) -> MeanAndScale:
        features, _ = seen
        return mean_and_scale(features)
