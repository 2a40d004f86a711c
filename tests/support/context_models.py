"""Random context models, and coding pass by pass without range coder and grid."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.base import Prediction
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.quantization import Quantization, Rounding, StraightThrough

CHANNELS = 4
CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "space-channel": SpaceChannel(groups=(1, 2), hidden=(6, 5)),
    "autoregressive": Autoregressive(),
    "light channelwise": Channelwise(slices=3, support=1, networks="light"),
    "reference channelwise": Channelwise(
        slices=3, support=2, hidden=(6, 5), residual_prediction=False
    ),
}


class TowardsCenter(Quantization):
    """Moves values towards centers, differentiably in both."""

    def split(self):
        return self, self

    def quantize(self, values, centers):
        return 0.7 * values + 0.3 * centers

    def bits(self, bits, values, centers, likelihood_bound):
        return bits(self.quantize(values, centers), likelihood_bound)


QUANTIZATIONS = {
    "rounding": Rounding(),
    "straight through": StraightThrough(jax.random.split(jax.random.key(0), 1)),
    "towards center": TowardsCenter(),
}


def make_context(settings, channels=CHANNELS, *, scale_bias=3.0):
    """Returns a context model with random parameters and scales above their bound."""
    abstract = nnx.eval_shape(
        lambda: settings.build(channels=channels, rngs=nnx.Rngs(0))
    )
    graph, state = nnx.split(abstract)
    rng, parameters = np.random.default_rng(0), {}
    for path, parameter in nnx.to_flat_state(state):
        deviation = 0.3
        if path[-1] == "kernel":
            deviation = np.prod(parameter.shape[:-1]) ** -0.5
        value = rng.normal(0, deviation, parameter.shape)
        if path == ("network", "last", "bias"):
            value[:channels] += scale_bias
        if path[-3:] == ("scale", "third", "bias"):
            value += scale_bias
        if path[-3:] == ("aggregation", 2, "bias"):
            value[: len(value) // 2] += scale_bias
        parameters[path] = nnx.Param(jnp.asarray(value, jnp.float32))
    return nnx.merge(graph, nnx.from_flat_state(parameters))


def features_and_latents(canvas, *, channels=CHANNELS, dtype: type = np.float64):
    """Returns random features, with scales above their bound, and random latents."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(*canvas, 2 * channels))
    features[..., :channels] += 4
    latent = 3 * rng.normal(size=(*canvas, channels))
    return features.astype(dtype), latent.astype(dtype)


def code_pass_by_pass(context, features, latent, size):
    """Rounds latents pass by pass, and returns the output that `forward` must have."""
    rows, columns = size
    y = np.asarray(latent)[:rows, :columns]
    names = ("mean", "scale", "quantized", "latent_hat")
    outputs = {name: np.full_like(y, np.nan) for name in names}
    layout = CodingLayout.whole(size, features.shape[:2])
    state = context.begin_coding(Rows.of(jnp.asarray(features)), layout)
    for index in range(state.num_passes(0)):
        positions, mean, scale = state.predict(0, index)
        quantized = np.rint(y[positions] - mean) + mean
        same_positions, latent_hat = state.refine(0, index, quantized)
        assert str(same_positions) == str(positions)
        values = (mean, scale, quantized, latent_hat)
        for name, value in zip(names, values, strict=True):
            outputs[name][positions] = value
        state.latent_hat[positions] = latent_hat
    return Prediction(
        **{name: jnp.asarray(output)[None] for name, output in outputs.items()}
    )


def coded_mask(canvas, size):
    """Returns the argument `coded` of `forward`."""
    mask = np.zeros((1, *canvas, 1), bool)
    mask[:, : size[0], : size[1]] = True
    return jnp.asarray(mask)
