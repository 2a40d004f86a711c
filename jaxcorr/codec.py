"""The codec: transforms, prior of the side information and context model."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Bool, DTypeLike, Float, Key

from jaxcorr import ops, rounding, settings
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.independent import Independent
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.errors import UserError
from jaxcorr.ops import DecoderInput
from jaxcorr.parameters import STORED_NAMES, Names, Path, stored_paths
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin
from jaxcorr.transforms.transforms import LATENT_STRIDE, SIDE_STRIDE

Parameters = dict[str, Array]
"""Arrays of a codec by their names in files, such as `prior/biases/0`."""


TransformSettings = Minnen | Cheng | Swin
"""Settings of the transforms of any architecture."""

ContextSettings = Independent | Checkerboard | Channelwise | Autoregressive
"""Settings of any context model."""


@settings.stored("CodecSettings")
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecSettings:
    """Everything that decides what a codec computes, but its parameters."""

    transforms: TransformSettings = dataclasses.field(default_factory=Minnen)
    """Architecture of the transforms."""
    context: ContextSettings = dataclasses.field(default_factory=Independent)
    """Context model of the latents."""
    likelihood_floor: float = 0.0
    """Smallest likelihood of an element, 0 for none; CompressAI has 1e-9."""

    def __post_init__(self):
        """Refuses a floor that is no probability, and parts that do not fit."""
        if not 0 <= self.likelihood_floor < 1:
            raise UserError(
                "codec.likelihood-floor must be at least 0 and below 1, "
                f"but is {self.likelihood_floor}"
            )
        if isinstance(self.context, Channelwise):
            self.context.check_channels(self.transforms.channels)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """What a codec makes of a batch of images.

    Attributes:
      reconstruction: Images in [0, 1], but for overshoot.
      latent: Latents before quantization.
      quantized: Latents after quantization.
      latent_hat: What the context model makes of those, the input of the synthesis;
        differs from `quantized` only where rounding errors are predicted.
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

    def __init__(self, settings: CodecSettings, *, rngs: nnx.Rngs):
        """Initializes all parameters.

        Args:
          settings: Architecture and sizes.
          rngs: Source of the initial parameters.
        """
        self.likelihood_floor = settings.likelihood_floor
        self.transforms = settings.transforms.build(rngs=rngs)
        self.prior = FactorizedPrior(settings.transforms.side_channels, rngs=rngs)
        self.context = settings.context.build(
            channels=settings.transforms.channels, rngs=rngs
        )

    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        *,
        keys: Key[Array, " b"] | None = None,
        decoder_input: DecoderInput | None = None,
        sharpness: rounding.Sharpness | None = None,
        transform_dtype: DTypeLike = jnp.float32,
        size: tuple[Array, Array] | None = None,
        median: Float[Array, " s"] | None = None,
    ) -> Output:
        """Encodes and decodes images, as training sees it or as coding will.

        Args:
          image: Images in [0, 1] of any size; padded inside, and cropped again.
          keys: Draw the noise that stands in for rounding, a key an image. If None,
            rounds: what comes out is what a file would give.
          decoder_input: With keys, what synthesis and context model work on; if None,
            what the context model was published with. Bits are those of latents with
            noise; with "soft_round", of softly rounded ones with noise.
          sharpness: Of soft rounding, which needs one; nothing else has it.
          transform_dtype: What analysis and synthesis compute in; everything else is
            float32.
          size: Rows and columns of `image` that are the image, from the top left; the
            rest is padding. If None, all are. Outputs keep the size of `image`.
          median: What side information is rounded around. If None, the prior's median.
        """
        height, width = image.shape[1:3]
        rows, columns = (height, width) if size is None else size
        canvas = ops.pad_to(
            image, ops.round_up(height, SIDE_STRIDE), ops.round_up(width, SIDE_STRIDE)
        )
        center = self.prior.median() if median is None else median
        center = center[None, None, None]
        kind = decoder_input or self.context.decoder_input
        of_y, of_z = _stand_ins(keys, kind, sharpness)

        y = self.transforms.analysis(canvas.astype(transform_dtype))
        y = y.astype(jnp.float32)
        z = self.transforms.hyper_analysis(y)
        coded_y = over_image(y, rows, columns, LATENT_STRIDE)
        coded_z = over_image(z, rows, columns, SIDE_STRIDE)
        # Padding carries no symbols. The decoder sees zeros there, as it does beyond
        # the border of a crop in training.
        z_hat = jnp.where(coded_z, of_z.quantize(z, center), 0.0)
        features = self.transforms.hyper_synthesis(z_hat)
        predicted = self.context.parallel(features, y, of_y.quantize, coded_y)
        mean, scale = predicted.mean, predicted.scale
        y_hat = jnp.where(coded_y, predicted.latent_hat, 0.0)
        reconstruction = self.transforms.synthesis(y_hat.astype(transform_dtype))

        y_bits = of_y.bits(
            lambda hat, floor: gaussian_bits(hat - mean, scale, likelihood_floor=floor),
            *(y, mean, self.likelihood_floor),
        )
        z_bits = of_z.bits(
            lambda hat, floor: self.prior.bits(hat, likelihood_floor=floor),
            *(z, center, self.likelihood_floor),
        )
        within = lambda x: x[:, : latents_across(height), : latents_across(width)]
        return Output(
            reconstruction=reconstruction[:, :height, :width].astype(jnp.float32),
            latent=within(y),
            quantized=within(jnp.where(coded_y, predicted.quantized, 0.0)),
            latent_hat=within(y_hat),
            mean=within(mean),
            scale=within(scale),
            latent_bits=within(jnp.where(coded_y, y_bits, 0.0)),
            side_bits=jnp.where(coded_z, z_bits, 0.0),
        )


def latents_across(pixels: int) -> int:
    """Latents along a side of an image of this many pixels."""
    return ops.round_up(pixels, LATENT_STRIDE) // LATENT_STRIDE


def side_across(pixels: int) -> int:
    """Elements of side information along a side of an image of this many pixels."""
    return ops.round_up(pixels, SIDE_STRIDE) // SIDE_STRIDE


def over_image(
    grid: Float[Array, "b height width c"],
    rows: Array | int,
    columns: Array | int,
    stride: int,
) -> Bool[Array, "1 height width 1"]:
    """Whether each position of a grid lies over the image.

    Args:
      grid: Latents or side information.
      rows: Of pixels of the image.
      columns: Of pixels of the image.
      stride: Pixels from one position to the next.
    """
    row = jnp.arange(grid.shape[1])[None, :, None, None] * stride < rows
    column = jnp.arange(grid.shape[2])[None, None, :, None] * stride < columns
    return row & column


@functools.partial(jax.jit, static_argnums=0)
def initialize(settings: CodecSettings, key: Key[Array, ""]) -> Parameters:
    """Draws the initial parameters of a codec, all in one compiled program."""
    return parameters_of(settings, Codec(settings, rngs=nnx.Rngs(key)))


def parameters_of(settings: CodecSettings, codec: Codec) -> Parameters:
    """Returns the parameters of a codec by their names in files."""
    _, stored = _structure(settings)
    flat = nnx.to_flat_state(nnx.state(codec, nnx.Param))
    return {stored[path]: variable[...] for path, variable in flat}


def with_parameters(
    settings: CodecSettings, parameters: Mapping[str, ArrayLike]
) -> Codec:
    """Returns the codec of these settings, holding these parameters."""
    graph, stored = _structure(settings)
    flat = {path: nnx.Param(parameters[name]) for path, name in stored.items()}
    return nnx.merge(graph, nnx.from_flat_state(flat))


def parameter_names(settings: CodecSettings) -> Mapping[Path, str]:
    """Returns the name in files of each parameter, by its path in the code."""
    return _structure(settings)[1]


@functools.cache
def _structure(settings: CodecSettings) -> tuple[nnx.GraphDef, dict[Path, str]]:
    """Structure of a codec without its parameters, and their names in files."""
    abstract = nnx.eval_shape(lambda: Codec(settings, rngs=nnx.Rngs(0)))
    return nnx.graphdef(abstract), stored_paths(abstract, _NAMES)


_NAMES: Names = {
    **STORED_NAMES,
    Codec: {"transforms": "transforms", "prior": "prior", "context": "context"},
}


@dataclasses.dataclass(frozen=True)
class _StandIn:
    """What a grid of latents becomes and costs where it is not rounded, or is.

    Attributes:
      quantize: Quantizes latents around centers, for whatever works on decoded ones.
      bits: Bits of latents around centers, by what gives those of quantized ones; with
        the smallest likelihood of an element.
    """

    quantize: ops.Quantizer
    bits: Callable[[rounding.Bits, Array, Array, float], Array]


def _stand_ins(
    keys: Key[Array, " b"] | None,
    kind: DecoderInput,
    sharpness: rounding.Sharpness | None,
) -> tuple[_StandIn, _StandIn]:
    """Those of latents and of side information; without keys, both are rounded."""
    if keys is None:
        rounded = _StandIn(ops.round_around, _bits_after(ops.round_around))
        return rounded, rounded
    y_keys, z_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    return _stand_in(y_keys, kind, sharpness), _stand_in(z_keys, kind, sharpness)


def _stand_in(
    keys: Key[Array, " b"], kind: DecoderInput, sharpness: rounding.Sharpness | None
) -> _StandIn:
    noise = functools.partial(ops.uniform_noise, keys)
    if kind == "soft_round":
        if sharpness is None:
            raise ValueError("soft_round needs a `sharpness`, but it is None.")
        return _StandIn(
            lambda x, center: rounding.soft_quantize(x, center, noise(x), sharpness),
            lambda bits, x, center, floor: rounding.soft_bits(
                bits, x, center, noise(x), sharpness, likelihood_floor=floor
            ),
        )
    add_noise = lambda x, center: x + noise(x)
    straight = kind == "straight_through"
    return _StandIn(
        ops.straight_through_round if straight else add_noise, _bits_after(add_noise)
    )


def _bits_after(quantize: ops.Quantizer) -> Callable[..., Array]:
    return lambda bits, x, center, floor: bits(quantize(x, center), floor)
