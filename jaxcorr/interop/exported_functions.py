"""The functions of a codec, as exports hold and describe them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxcorr.context.autoregressive import CAUSAL_TAPS, LAG, AutoregressiveContext
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.model import Model
from jaxcorr.quantization import Rounding
from jaxcorr.transforms.base import LATENT_STRIDE, image_mask


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFunction:
    """A function of arrays, with the description that an export gives of it.

    Attributes:
      function: The function; it computes in the precision of its inputs.
      inputs: Shape of each input by its name, with symbols for free sizes, such as
        `b, 4*h, 4*w, 192`. An empty shape marks an integer.
      outputs: Names of the outputs.
      meaning: Description of the function, in a sentence or two.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    meaning: str


def evaluation_functions(model: Model) -> dict[str, ExportedFunction]:
    """Returns the functions from image to reconstruction and bits, in order of use."""
    codec = model.shared_codec
    bound = codec.settings.likelihood_bound
    latents, side, features = _shapes(model)

    def context(
        features: Array, y: Array, height: Array, width: Array
    ) -> tuple[Array, Array, Array, Array]:
        coded = image_mask(y, height, width, LATENT_STRIDE)
        prediction = codec.context.forward(features, y, Rounding(), coded)
        quantized = jnp.where(coded, prediction.quantized, 0.0)
        latent_hat = jnp.where(coded, prediction.latent_hat, 0.0)
        return prediction.mean, prediction.scale, quantized, latent_hat

    def latent_bits(quantized: Array, mean: Array, scale: Array) -> Array:
        return gaussian_bits(quantized - mean, scale, likelihood_bound=bound)

    def side_bits(z_hat: Array) -> Array:
        return codec.prior.bits(z_hat, likelihood_bound=bound)

    return {
        "analysis": ExportedFunction(
            function=codec.transforms.analysis,
            inputs={"image": "b, 64*h, 64*w, 3"},
            outputs=("y",),
            meaning="Latents of images in [0, 1], before quantization.",
        ),
        "hyper_analysis": ExportedFunction(
            function=codec.transforms.hyper_analysis,
            inputs={"y": latents},
            outputs=("z",),
            meaning="Side information, before quantization.",
        ),
        "side_bits": ExportedFunction(
            function=_in_full_precision(side_bits),
            inputs={"z_hat": side},
            outputs=("bits",),
            meaning="Bits of each element of the quantized side information.",
        ),
        "hyper_synthesis": _hyper_synthesis(model),
        "context": ExportedFunction(
            function=_in_full_precision(context),
            inputs={"features": features, "y": latents, "height": "", "width": ""},
            outputs=("mean", "scale", "quantized", "latent_hat"),
            meaning="Predicts and quantizes latents of images of `height` x `width` "
            "pixels without padding. Means and scales are in quantization steps; "
            "quantized latents are 0 where the padding is.",
        ),
        "latent_bits": ExportedFunction(
            function=_in_full_precision(latent_bits),
            inputs={"quantized": latents, "mean": latents, "scale": latents},
            outputs=("bits",),
            meaning="Bits of each latent.",
        ),
        "synthesis": ExportedFunction(
            function=codec.synthesize,
            inputs={"latent_hat": latents},
            outputs=("reconstruction",),
            meaning="Images in [0, 1], apart from overshoot.",
        ),
    }


def coding_functions(model: Model) -> dict[str, ExportedFunction]:
    """Returns the functions that feed the range coder, pass by pass."""
    functions = {"hyper_synthesis": _hyper_synthesis(model)}
    context = model.shared_codec.context
    if isinstance(context, AutoregressiveContext):
        return functions | {"predict": _wavefront(context)}
    for index in range(len(context.schedule)):
        functions |= _pass_functions(context, index, model)
    return functions


def describe_passes(model: Model) -> list[dict[str, Any]] | None:
    """Returns the channels and parity of each pass as JSON; None for wavefronts."""
    context = model.shared_codec.context
    if isinstance(context, AutoregressiveContext):
        return None
    return [dataclasses.asdict(part) for part in context.schedule]


def _pass_functions(
    context: PassContext, index: int, model: Model
) -> dict[str, ExportedFunction]:
    """Returns the functions of a pass."""
    part = context.schedule[index]
    latents, _, features = _shapes(model)
    inputs = {"features": features, "latent_hat": latents}

    def predict(features: Array, latent_hat: Array) -> MeanAndScale:
        seen = context.network_inputs(context.prepare(features), latent_hat, index)
        return context.predict(seen, index)

    def refine(features: Array, latent_hat: Array, quantized: Array) -> Array:
        seen = context.network_inputs(context.prepare(features), latent_hat, index)
        return context.refine(seen, quantized, index)

    functions = {
        f"predict_{index}": ExportedFunction(
            function=predict,
            inputs=inputs,
            outputs=("mean", "scale"),
            meaning=f"Pass {index}: codes {_describe(part)}.",
        )
    }
    if context.refines:
        start, end = part.channels
        functions[f"refine_{index}"] = ExportedFunction(
            function=refine,
            inputs=inputs | {"quantized": f"b, 4*h, 4*w, {end - start}"},
            outputs=("refined",),
            meaning=f"Pass {index}: latents to put into `latent_hat`, given "
            "`quantized`.",
        )
    return functions


def _describe(part: Pass) -> str:
    start, end = part.channels
    where = {
        None: "",
        0: " where row + column is even",
        1: " where row + column is odd",
    }
    return f"channels {start} to {end - 1}{where[part.parity]}"


def _wavefront(context: AutoregressiveContext) -> ExportedFunction:
    def predict(features: Array, seen: Array) -> MeanAndScale:
        return context.predict(context.network.features(features), seen)

    channels = context.channels
    return ExportedFunction(
        function=predict,
        inputs={
            "features": f"n, {2 * channels}",
            "seen": f"n, {len(CAUSAL_TAPS)}, {channels}",
        },
        outputs=("mean", "scale"),
        meaning=f"Pass k codes the n latents whose column + {LAG} row is k, "
        "given the features there and the decoded latents that come before "
        "each, in raster order, in the 5x5 square around it.",
    )


def _hyper_synthesis(model: Model) -> ExportedFunction:
    return ExportedFunction(
        function=_in_full_precision(model.shared_codec.predict_features),
        inputs={"z_hat": _shapes(model)[1]},
        outputs=("features",),
        meaning="Features, from which the context model predicts the latents.",
    )


def _shapes(model: Model) -> tuple[str, str, str]:
    """Returns the shapes of latents, side information and features, in symbols."""
    transforms = model.config.transforms
    latents = f"b, 4*h, 4*w, {transforms.channels}"
    features = f"b, 4*h, 4*w, {2 * transforms.channels}"
    return latents, f"b, h, w, {transforms.side_channels}", features


def _in_full_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with matrix products in full float32 on every device."""

    def precise(*arrays: Array) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arrays)

    return precise
