"""The codec: transforms, prior of the side information and context model."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, DTypeLike, Float, Key

from jaxcorr import ops, serialization
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.errors import require
from jaxcorr.parameters import STORED_NAMES, Parameters, Path, stored_paths
from jaxcorr.quantization import Quantization, Rounding
from jaxcorr.transforms.base import (
    LATENT_STRIDE,
    SIDE_STRIDE,
    image_mask,
    latents_across,
)
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

TransformConfig = Minnen | Cheng | Swin
"""Settings of the transforms of any architecture."""

ContextConfig = NoContext | Checkerboard | Channelwise | SpaceChannel | Autoregressive
"""Settings of any context model."""


@serialization.stored("CodecSettings")
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """Everything that decides what a codec computes, but its parameters."""

    transforms: TransformConfig = dataclasses.field(default_factory=Minnen)
    """Architecture of the transforms."""
    context: ContextConfig = dataclasses.field(default_factory=NoContext)
    """Context model of the latents."""
    likelihood_bound: float = dataclasses.field(
        default=0.0, metadata=serialization.stored_as("likelihood_floor")
    )
    """Smallest likelihood of an element, 0 for none; CompressAI has 1e-9."""

    def __post_init__(self):
        """Checks the bound, and that the context model fits the latents."""
        within = 0 <= self.likelihood_bound < 1
        require(self, "likelihood_bound", "at least 0 and below 1", within)
        if isinstance(self.context, Channelwise | SpaceChannel):
            self.context.check_channels(self.transforms.channels)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecOutput:
    """Everything that a codec computes for a batch of images.

    Attributes:
      reconstruction: Images in [0, 1], but for overshoot.
      latent: Latents before quantization.
      quantized: Latents after quantization.
      latent_hat: Input of the synthesis: `quantized` less predicted rounding errors.
      mean: Predicted mean of each latent, in quantization steps.
      scale: Predicted standard deviation of each latent; at least 0.11.
      latent_bits: Bits of each latent.
      side_bits: Bits of each element of the side information.
    """

    reconstruction: Float[Array, "b h w 3"]
    latent: Float[Array, "b h16 w16 c"]
    quantized: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]
    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    latent_bits: Float[Array, "b h16 w16 c"]
    side_bits: Float[Array, "b h64 w64 s"]


class Codec(nnx.Module):
    """Codes images with latents whose distribution side information describes.

    image ─► analysis ─► y ───────────────► context ─► y_hat ─► synthesis ─► image
                         │                  ▲     │ mean, scale
                         ▼                  │     └─► bits of y
                   hyper_analysis ─► z      │ features
                                     │      │
                bits of z ◄─ prior ◄─┴ z_hat ─► hyper_synthesis
    """

    def __init__(self, settings: CodecConfig, *, rngs: nnx.Rngs):
        """Initializes all parameters."""
        self.likelihood_bound = settings.likelihood_bound
        self.transforms = settings.transforms.build(rngs=rngs)
        self.prior = FactorizedPrior(settings.transforms.side_channels, rngs=rngs)
        self.context = settings.context.build(
            channels=settings.transforms.channels, rngs=rngs
        )

    def analyze(
        self, image: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b h16 w16 c"], Float[Array, "b h64 w64 s"]]:
        """Returns y and z of images whose sides are multiples of 64.

        Analysis is in their precision, everything after it in float32 at least.
        """
        y = self.transforms.analysis(image)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return y, self.transforms.hyper_analysis(y)

    def predict_features(
        self, z_hat: Float[Array, "b h64 w64 s"]
    ) -> Float[Array, "b h16 w16 f"]:
        """Returns features of the side information, in its precision."""
        return self.transforms.hyper_synthesis(z_hat)

    def synthesize(self, y_hat: Float[Array, "b h16 w16 c"]) -> Float[Array, "b h w 3"]:
        """Returns images in [0, 1], but for overshoot, in the precision of `y_hat`."""
        return self.transforms.synthesis(y_hat)

    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        *,
        quantization: Quantization | None = None,
        transform_dtype: DTypeLike = jnp.float32,
        size: tuple[Array, Array] | None = None,
        median: Float[Array, " s"] | None = None,
    ) -> CodecOutput:
        """Encodes and decodes images, as training sees it or as coding will.

        Args:
          image: Images in [0, 1] of any size; padded inside, and cropped again.
          quantization: How latents and side information are quantized; by default they
            are rounded, so that the output is that of a file.
          transform_dtype: Precision of analysis and synthesis; everything else is
            float32.
          size: Rows and columns of `image` that are the image, from the top left; the
            rest is padding. If None, all are. Outputs keep the size of `image`.
          median: Center of side information; by default the prior's median.
        """
        height, width = image.shape[1:3]
        rows, columns = (height, width) if size is None else size
        canvas = ops.pad_to(
            image, ops.round_up(height, SIDE_STRIDE), ops.round_up(width, SIDE_STRIDE)
        )
        center = self.prior.median() if median is None else median
        center = center[None, None, None]
        of_y, of_z = (quantization or Rounding()).split()

        y, z = self.analyze(canvas.astype(transform_dtype))
        coded_y = image_mask(y, rows, columns, LATENT_STRIDE)
        coded_z = image_mask(z, rows, columns, SIDE_STRIDE)
        # Padding carries no symbols. The decoder sees zeros there, as it does beyond
        # the border of a crop in training.
        z_hat = jnp.where(coded_z, of_z.quantize(z, center), 0.0)
        features = self.predict_features(z_hat)
        predicted = self.context.forward(features, y, of_y, coded_y)
        mean, scale = predicted.mean, predicted.scale
        y_hat = jnp.where(coded_y, predicted.latent_hat, 0.0)
        reconstruction = self.synthesize(y_hat.astype(transform_dtype))

        bits = lambda hat, floor: gaussian_bits(
            hat - mean, scale, likelihood_bound=floor
        )
        y_bits = of_y.bits(bits, y, mean, self.likelihood_bound)
        z_bits = of_z.bits(self.prior.bits, z, center, self.likelihood_bound)
        within = lambda x: x[:, : latents_across(height), : latents_across(width)]
        return CodecOutput(
            reconstruction=reconstruction[:, :height, :width].astype(jnp.float32),
            latent=within(y),
            quantized=within(jnp.where(coded_y, predicted.quantized, 0.0)),
            latent_hat=within(y_hat),
            mean=within(mean),
            scale=within(scale),
            latent_bits=within(jnp.where(coded_y, y_bits, 0.0)),
            side_bits=jnp.where(coded_z, z_bits, 0.0),
        )


@functools.partial(jax.jit, static_argnums=0)
def initialize(settings: CodecConfig, key: Key[Array, ""]) -> Parameters:
    """Draws the initial parameters of a codec, all in one compiled program."""
    return parameters_of(settings, Codec(settings, rngs=nnx.Rngs(key)))


def parameters_of(settings: CodecConfig, codec: Codec) -> Parameters:
    """Returns the parameters of a codec by their names in files."""
    _, stored = structure(settings)
    flat = nnx.to_flat_state(nnx.state(codec, nnx.Param))
    return {stored[path]: variable[...] for path, variable in flat}


def with_parameters(
    settings: CodecConfig, parameters: Mapping[str, ArrayLike]
) -> Codec:
    """Returns the codec of these settings, holding these parameters."""
    graph, stored = structure(settings)
    flat = {path: nnx.Param(parameters[name]) for path, name in stored.items()}
    return nnx.merge(graph, nnx.from_flat_state(flat))


@functools.cache
def structure(settings: CodecConfig) -> tuple[nnx.GraphDef, dict[Path, str]]:
    """Returns a codec without its parameters, and the name of each in files by path."""
    parts = {"transforms": "transforms", "prior": "prior", "context": "context"}
    abstract = nnx.eval_shape(lambda: Codec(settings, rngs=nnx.Rngs(0)))
    return nnx.graphdef(abstract), stored_paths(abstract, STORED_NAMES | {Codec: parts})
