"""The codec: transforms, prior of the side information, and context model."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, DTypeLike, Float, Key

from jaxcorr import compatibility, ops, serialization
from jaxcorr.codec_arguments import check_arguments
from jaxcorr.codec_forward import code_latents
from jaxcorr.codec_output import CodecOutput
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.errors import require
from jaxcorr.layers.valid_region import masking
from jaxcorr.parameters import STORED_NAMES, Parameters, Path, stored_paths
from jaxcorr.programs import forgotten
from jaxcorr.quantization import Quantization, Rounding
from jaxcorr.rematerialization import Rematerialization, apply_chain
from jaxcorr.transforms.base import SIDE_STRIDE, latents_across
from jaxcorr.transforms.canvas import valid_region
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
    """Settings of a codec: everything that decides its output, except parameters."""

    transforms: TransformConfig = dataclasses.field(default_factory=Minnen)
    """Architecture of the transforms."""
    context: ContextConfig = dataclasses.field(default_factory=NoContext)
    """Context model of the latents."""
    likelihood_bound: float = dataclasses.field(
        default=0.0, metadata=serialization.stored_as("likelihood_floor")
    )
    """Lower bound of the likelihood of a symbol; 0 for none, 1e-9 as in CompressAI."""

    def __post_init__(self):
        """Checks the bound, and that the context model fits the latents."""
        is_valid = 0 <= self.likelihood_bound < 1
        require(self, "likelihood_bound", "at least 0 and below 1", is_valid)
        for part, kind in ("transforms", TransformConfig), ("context", ContextConfig):
            rule = f"settings such as {kind.__args__[0].__name__}()"
            require(self, part, rule, isinstance(getattr(self, part), kind))
        if isinstance(self.context, Channelwise | SpaceChannel):
            self.context.check_channels(self.transforms.channels)

    def describe(self) -> str:
        """Returns the transforms with their widths, and the context model if any."""
        transforms, context = self.transforms, type(self.context).__name__
        widths = f"{transforms.side_channels}/{transforms.channels}"
        name = f"{type(transforms).__name__} {widths}"
        return name if context == "NoContext" else f"{name} {context.lower()}"


class Codec(nnx.Module):
    """Codes images as latents, whose distributions are predicted from side information.

    image ─► analysis ─► y ───────────────► context ─► y_hat ─► synthesis ─► image
                         │                  ▲     │ mean, scale
                         ▼                  │     └─► bits of y
                   hyper_analysis ─► z      │ features
                                     │      │
                bits of z ◄─ prior ◄─┴ z_hat ─► hyper_synthesis

    Args:
      settings: Settings of the codec.
      rngs: Source of the initial parameters.

    Attributes:
      settings: Settings of the codec.
    """

    def __init__(self, settings: CodecConfig, *, rngs: nnx.Rngs):
        self.settings = settings
        self.transforms = settings.transforms.build(rngs=rngs)
        self.prior = FactorizedPrior(settings.transforms.side_channels, rngs=rngs)
        self.context = settings.context.build(
            channels=settings.transforms.channels, rngs=rngs
        )

    def __repr__(self) -> str:
        """Returns one line; `nnx.display` shows every parameter."""
        count = sum(x.size for x in jax.tree.leaves(nnx.state(self, nnx.Param)))
        return f"Codec({self.settings.describe()}, {count:,} parameters)"

    __str__ = __repr__

    def analyze(
        self, image: Float[Array, "b h w 3"], *, remat: Rematerialization = "none"
    ) -> tuple[Float[Array, "b h16 w16 c"], Float[Array, "b h64 w64 s"]]:
        """Returns y and z of images whose sides are multiples of 64.

        Analysis has the precision of `image`; what follows has float32 at least.
        `remat` says what backward passes compute again.
        """
        y = self.analyze_image(image, remat=remat)
        return y, self.analyze_latents(y, remat=remat)

    def analyze_image(
        self, image: Float[Array, "b h w 3"], *, remat: Rematerialization = "none"
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns y of images whose sides are multiples of 64."""
        y = apply_chain(self.transforms.analysis, image, remat)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))

    def analyze_latents(
        self, y: Float[Array, "b h16 w16 c"], *, remat: Rematerialization = "none"
    ) -> Float[Array, "b h64 w64 s"]:
        """Returns z of y."""
        return apply_chain(self.transforms.hyper_analysis, y, remat)

    def predict_features(
        self, z_hat: Float[Array, "b h64 w64 s"], *, remat: Rematerialization = "none"
    ) -> Float[Array, "b h16 w16 f"]:
        """Returns features of the side information, in the precision of `z_hat`."""
        return apply_chain(self.transforms.hyper_synthesis, z_hat, remat)

    def synthesize(
        self, y_hat: Float[Array, "b h16 w16 c"], *, remat: Rematerialization = "none"
    ) -> Float[Array, "b h w 3"]:
        """Returns images in [0, 1], except overshoot, in the precision of `y_hat`."""
        return apply_chain(self.transforms.synthesis, y_hat, remat)

    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        *,
        quantization: Quantization | None = None,
        transform_dtype: DTypeLike = jnp.float32,
        size: tuple[Array, Array] | None = None,
        median: Float[Array, " s"] | None = None,
        rematerialization: Rematerialization = "none",
    ) -> CodecOutput:
        """Encodes and decodes images, with the quantization of training or of coding.

        Outside of `jax.jit`, `jax.grad` and `jax.vmap` a call runs a program that is
        compiled once for each shape. Inside, the codec is traced as a part of it.

        Args:
          image: Images in [0, 1] of any size; padded inside, and cropped again.
          quantization: Quantization of latents and side information; by default
            rounding, as in a file.
          transform_dtype: Precision of analysis and synthesis; the rest is float32.
          size: Height and width of the part of `image`, from the top left, that is not
            padding, or arrays with those of each image. Outputs keep the full size. The
            networks see padding up to the next multiple of 64, and zeros beyond.
          median: Center of side information; by default the prior's median.
          rematerialization: What backward passes compute again in place of keeping it:
            `none`, the activations of the `transforms`, or `all`, which also keeps
            nothing inside of a layer and of the context model.

        Raises:
          TypeError: If an argument has another type.
          UserError: If the images have another shape or type, or the noise has not one
            random key per image.
        """
        check_arguments(image, quantization)
        arguments = self, image, quantization or Rounding(), size, median
        leaves = jax.tree.leaves(arguments)
        is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        forward = _forward if is_traced else _compiled_forward
        return forward(
            *arguments, transform_dtype=transform_dtype, remat=rematerialization
        )


@functools.partial(jax.jit, static_argnums=0)
def initialize(settings: CodecConfig, key: Key[Array, ""]) -> Parameters:
    """Draws the initial parameters of a codec, all in one compiled program."""
    return parameters_of(settings, Codec(settings, rngs=nnx.Rngs(key)))


def parameters_of(settings: CodecConfig, codec: Codec) -> dict[str, Any]:
    """Returns the parameters of a codec, or abstract ones, by their names in files."""
    names = structure(settings)[1]
    flat = nnx.to_flat_state(nnx.state(codec, nnx.Param))
    return {names[path]: compatibility.value_of(variable) for path, variable in flat}


def with_parameters(
    settings: CodecConfig, parameters: Mapping[str, ArrayLike]
) -> Codec:
    """Returns a codec with the given settings and parameters."""
    graph, stored = structure(settings)
    flat = {path: nnx.Param(parameters[name]) for path, name in stored.items()}
    return nnx.merge(graph, nnx.from_flat_state(flat))


@functools.cache
def structure(settings: CodecConfig) -> tuple[nnx.GraphDef, dict[Path, str]]:
    """Returns the graph definition of a codec, and its stored names by their paths."""
    codec, names = abstract_codec(settings), ("transforms", "prior", "context")
    stored = STORED_NAMES | {Codec: dict(zip(names, names, strict=True))}
    return nnx.graphdef(codec), stored_paths(codec, stored)


def abstract_parameters(settings: CodecConfig) -> Mapping[str, Any]:
    """Returns shapes and types of all parameters of a codec, by their stored names."""
    return parameters_of(settings, abstract_codec(settings))


@functools.cache
def abstract_codec(settings: CodecConfig) -> Codec:
    """Returns a codec with shapes and types in place of the values of parameters."""
    with ops.without_sampling():
        return nnx.eval_shape(lambda: Codec(settings, rngs=nnx.Rngs(0)))


def _forward(
    codec: Codec,
    image: Float[Array, "b h w 3"],
    quantization: Quantization,
    size: tuple[Array, Array] | None,
    median: Float[Array, " s"] | None,
    *,
    transform_dtype: DTypeLike,
    remat: Rematerialization,
) -> CodecOutput:
    """Encodes and decodes images, as `Codec.__call__` does."""
    height, width = image.shape[1:3]
    rows, columns = (height, width) if size is None else size
    sides = [ops.round_up(side, SIDE_STRIDE) for side in (height, width)]
    canvas = ops.pad_to(image, *sides)
    region = None if size is None else valid_region(size, canvas.shape[1:3])
    center = (codec.prior.median() if median is None else median)[None, None, None]
    with masking(region):
        y = codec.analyze_image(canvas.astype(transform_dtype), remat=remat)
        coded = code_latents(codec, y, quantization, (rows, columns), center, remat)
        seen = coded.seen.astype(transform_dtype)
        reconstruction = codec.synthesize(seen, remat=remat)

    def crop(grid: Array) -> Array:
        return grid[:, : latents_across(height), : latents_across(width)]

    return CodecOutput(
        reconstruction=reconstruction[:, :height, :width].astype(jnp.float32),
        latent=crop(coded.latent),
        quantized=crop(coded.quantized),
        latent_hat=crop(coded.latent_hat),
        mean=crop(coded.mean),
        scale=crop(coded.scale),
        latent_bits=crop(coded.latent_bits),
        side_bits=coded.side_bits,
    )


_compiled_forward = forgotten(
    jax.jit(_forward, static_argnames=("transform_dtype", "remat"))
)
