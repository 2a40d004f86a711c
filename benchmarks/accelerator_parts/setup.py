"""The functions of jaxcorr that the parts call, so that a rename changes one file."""

import contextlib
import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any

import blocks
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree, UInt8

from jaxcorr import codec, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.evaluation import measure
from jaxcorr.layers import implementations
from jaxcorr.layers.implementations import Implementations
from jaxcorr.model import Model
from jaxcorr.quantization import training_quantization
from jaxcorr.training import sharding, sweep
from jaxcorr.training import step as steps
from jaxcorr.training.loss import LossConfig, LossWeights
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import StaticConfig, StepConfig, TrainState
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.base import latents_across

Dtype = str
DTYPES = ("bfloat16", "float32")
LEAST_ARITHMETIC = Implementations(upsampling="transposed", sub_pixels="interleaved")
"""Implementations that define the arithmetic of a model: no products with padding."""
ENDLESS = 10**9
"""Length of a run whose learning rate never drops."""
DISTORTION_WEIGHT, CORRELATION_WEIGHT = 0.0018, 0.1
"""λ and α of all parts but the branches of `train`."""


class WithoutCorrelation(LossConfig):
    """A loss of rate and distortion only, which does not compute the correlation."""

    def normalized(self, output):
        """Returns zeros in place of normalized latents."""
        del output
        return jnp.zeros((1, 1, 1, 1))

    def statistics(self, output, batch):
        """Returns zeros in place of the correlation map."""
        del output, batch
        return {"map": jnp.zeros((self.window, self.window))}


def static_config_of(
    model: CodecConfig,
    dtype: Dtype,
    *,
    crop: int,
    correlation: bool = True,
    steps: int = ENDLESS,
    drop_at: float = 1.0,
    warmup_steps: int = 0,
) -> StaticConfig:
    """Returns the settings of a train step.

    Args:
      model: The codec that is trained.
      dtype: Type in which analysis and synthesis compute.
      crop: Side of a crop, which limits the window of the loss.
      correlation: Whether the correlation loss is computed.
      steps: Length of the run.
      drop_at: Fraction of the run after which the learning rate drops.
      warmup_steps: Steps over which the learning rate rises.
    """
    latents = latents_across(crop)
    loss_type = LossConfig if correlation else WithoutCorrelation
    return StaticConfig(
        codec=model,
        loss=loss_type(window=min(7, latents - 1 + latents % 2)),
        optimizer=OptimizerConfig(drop_at=drop_at, warmup_steps=warmup_steps),
        step=StepConfig(transform_dtype=dtype),  # pyright: ignore[reportArgumentType]
        steps=steps,
    )


def sweep_config(
    model: CodecConfig, dtype: Dtype, *, members: int, batch: int, crop: int
) -> TrainConfig:
    """Returns the settings of a sweep whose members differ in λ."""
    base = static_config_of(model, dtype, crop=crop)
    weights = tuple(DISTORTION_WEIGHT * 2**number for number in range(members))
    return TrainConfig(
        codec=model,
        loss=base.loss,
        sweep=SweepConfig(distortion_weight=weights),
        optimizer=base.optimizer,
        step=base.step,
        data=DataConfig(batch_size=batch, crop_size=crop),
    )


def members_together() -> bool:
    """Returns whether one program runs all members of a sweep on this device."""
    return sweep.runs_members_in_one_program(
        sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    )


def model_flops(static_config: StaticConfig, *, batch: int, crop: int) -> float:
    """Counts the floating-point operations of a step before compilation.

    The implementations with the fewest operations are counted, so that the number is
    the same on every device.
    """
    state, images, weights, key = step_arguments(static_config, batch=batch, crop=crop)

    def step(state, images, distortion, correlation, key):
        weights = LossWeights(
            distortion_weight=distortion, correlation_weight=correlation
        )
        return steps.train_step(
            state, images, weights, key, static_config=static_config
        )

    with implementations.forced(LEAST_ARITHMETIC):
        traced = jax.jit(step).trace(
            state, images, weights.distortion_weight, weights.correlation_weight, key
        )
        costs = traced.lower(lowering_platforms=("cpu",)).cost_analysis()
    assert costs is not None
    return costs["flops"]


def step_arguments(
    static_config: StaticConfig, *, batch: int, crop: int
) -> tuple[TrainState, UInt8[Array, "b h w 3"], LossWeights, Array]:
    """Returns state, random crops, weights and key of a first step."""
    state, images, key = blocks.first_step(static_config, batch=batch, crop=crop)
    return state, images, weights_at(CORRELATION_WEIGHT), key


def form_names(kind: str) -> tuple[str, ...]:
    """Returns the names of the implementations of a kind of layer."""
    return typing.get_args(Implementations.__annotations__[kind])


def forced_forms(chosen: Mapping[str, str]) -> contextlib.AbstractContextManager:
    """Uses these implementations, or the default of the platform if none is given."""
    return implementations.forced(Implementations(**chosen) if chosen else None)  # pyright: ignore


@functools.partial(jax.jit, static_argnames="static_config")
def loss_and_gradients(
    parameters: PyTree,
    images: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    key: Array,
    *,
    static_config: StaticConfig,
) -> tuple[Float[Array, ""], PyTree]:
    """Returns the loss of a batch with noise, and its gradients."""
    image = images.astype(jnp.float32) / 255
    keys = jax.random.split(key, len(image))

    def loss(parameters):
        model = codec.with_parameters(static_config.codec, parameters)
        output = model(
            image,
            quantization=training_quantization(
                model.context.default_quantization, keys, 1.0
            ),
            transform_dtype=static_config.step.transform_dtype,
        )
        return static_config.loss(output, image, weights)[0]

    return jax.value_and_grad(loss)(parameters)


train_step: Callable = steps.train_step
new_state: Callable = steps.initial_state
initialize: Callable = codec.initialize


def state_at(static_config: StaticConfig, parameters: PyTree, step: int) -> TrainState:
    """Returns a state at a step of a run, with Adam's moments at zero.

    The schedule of the learning rate continues at `step`.
    """
    state = steps.initial_state(static_config, parameters)

    def is_schedule(path: tuple[Any, ...], _: Any) -> bool:
        names = (getattr(key, "tuple_name", "") for key in path)
        return "ScaleByScheduleState" in names

    optimizer = optax.tree_utils.tree_set(
        state.optimizer, is_schedule, count=jnp.int32(step)
    )
    return dataclasses.replace(state, optimizer=optimizer, step=jnp.int32(step))


def weights_at(correlation_weight: float) -> LossWeights:
    """Returns the weights of a run of the part `train`."""
    return LossWeights(
        distortion_weight=jnp.float32(DISTORTION_WEIGHT),
        correlation_weight=jnp.float32(correlation_weight),
    )


def codec_with(model: CodecConfig, context: codec.ContextConfig) -> CodecConfig:
    """Returns the codec with another context model."""
    return dataclasses.replace(model, context=context)


make_model: Callable = saved_model.make_model
write_model: Callable = saved_model.write_model
read_model: Callable = saved_model.read_model
psnr_db: Callable = measure.psnr_db


def encode(
    model: Model, image: UInt8[np.ndarray, "h w 3"], *, fast: bool = False
) -> tuple[bytes, dict[str, np.ndarray]]:
    """Encodes an image; returns the file and its latents."""
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    container, latents = coding.encode(model, image, arithmetic=arithmetic)
    return container.to_bytes(), _arrays(latents)


def decode(
    model: Model, data: bytes
) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, np.ndarray]]:
    """Decodes a file; returns the image and its latents."""
    image, latents = coding.decode(model, Container.from_bytes(data, "the file"))
    return image, _arrays(latents)


def _arrays(latents) -> dict[str, np.ndarray]:
    names = ("side_symbols", "symbols", "latent_hat")
    return {name: getattr(latents, name) for name in names}
