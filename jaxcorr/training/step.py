"""The training step and the evaluation step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, UInt8

from jaxcorr import codec, quantization
from jaxcorr.codec import CodecConfig, CodecOutput, Parameters
from jaxcorr.metrics import image_quality
from jaxcorr.training import micro_batches, sharding
from jaxcorr.training.correlation_term import Statistics
from jaxcorr.training.loss import Batch, LossConfig, LossWeights, Metrics
from jaxcorr.training.optimizer import OptimizerConfig, Period
from jaxcorr.training.step_config import StepConfig
from jaxcorr.training.train_state import NEVER, TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class StaticConfig:
    """All settings that the compiled step depends on.

    Attributes:
      codec: Settings of the codec.
      loss: Settings of the loss; λ and α are traced and not among them.
      optimizer: Settings of the optimizer.
      step: Settings of the step.
      steps: Length of the run, for the schedule of the sharpness.
      period: Steps that the learning-rate schedule spans; None for the run.
    """

    codec: CodecConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    step: StepConfig
    steps: int
    period: Period | None = None

    @property
    def transformation(self) -> optax.GradientTransformation:
        """The transformation of gradients to parameter updates."""
        return self.optimizer.transformation(self._period)

    def learning_rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Returns the learning rate of a step.

        Args:
          step: Steps taken before this one.
        """
        return jnp.asarray(self.optimizer.learning_rates(self._period)(step))

    def batch(self, images: int) -> Batch:
        """Returns what the loss must know of a batch with this number of images."""
        return Batch(images=images, context=self.codec.context)

    @property
    def _period(self) -> Period:
        return self.period or Period(start=0, steps=self.steps)


def initial_state(static_config: StaticConfig, parameters: Parameters) -> TrainState:
    """Returns the train state before the first step."""
    return TrainState(
        parameters=parameters,
        optimizer=static_config.transformation.init(parameters),
        step=jnp.int32(0),
        failed_at=jnp.int32(NEVER),
        statistics=static_config.loss.empty_average(static_config.codec),
    )


# Inlined into the programs of a sweep, so that a member takes the same step as a run of
# one codec.
_compiled = functools.partial(jax.jit, static_argnames="static_config", inline=True)


@functools.partial(_compiled, donate_argnames="state")
def train_step(
    state: TrainState,
    batch: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    key: Key[Array, ""],
    *,
    static_config: StaticConfig,
) -> tuple[TrainState, Metrics]:
    """Takes one step of optimization.

    The noise depends only on the key, the step count and the position in the batch, so
    a resumed run repeats the run that it resumes.

    Args:
      state: State to update. Its buffers are donated: use the returned state.
      batch: Crops with values from 0 to 255.
      weights: λ and α.
      key: Root noise key of the run, the same at every step.
      static_config: Settings. New values compile another program.

    Returns:
      The updated state, and metrics at the parameters before the update. The metrics
      include the new `failed_at`, which stays readable after the next step has donated
      the state.
    """
    image = batch.astype(jnp.float32) / 255
    keys = jax.random.split(jax.random.fold_in(key, state.step), len(image))
    sharpness = static_config.step.sharpness(state.step, steps=static_config.steps)
    gradient, values, statistics = _gradient(
        state, image, keys, sharpness, weights, static_config
    )
    updated, norm = _update(state, gradient, values["loss"], statistics, static_config)
    if static_config.step.quantization == "soft_round":
        values["sharpness"] = sharpness
    return updated, values | {
        "psnr_db": image_quality.psnr_from_mse(values["mse"]),
        "gradient_norm": norm,
        "learning_rate": static_config.learning_rate(state.step),
        "failed_at": updated.failed_at,
    }


@_compiled
def evaluation_step(
    parameters: Parameters,
    batch: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    *,
    static_config: StaticConfig,
) -> tuple[Metrics, Float[Array, "b h w 3"]]:
    """Computes metrics of crops and reconstructions with rounded latents, as in a file.

    Args:
      parameters: Parameters of the codec.
      batch: Crops with values from 0 to 255.
      weights: λ and α.
      static_config: Settings. New values compile another program.

    Returns:
      Metrics, including `rate_distortion` (the loss without the correlation term), and
      reconstructions in [0, 1], but for overshoot.
    """
    image = batch.astype(jnp.float32) / 255
    output = rounded_output(parameters, image, static_config=static_config)
    batch_of_all = static_config.batch(len(image))
    _, values = static_config.loss(output, image, weights, batch=batch_of_all)
    values["psnr_db"] = image_quality.psnr_from_mse(values["mse"])
    values["rate_distortion"] = (
        values["bpp"] + weights.distortion_weight * values["distortion"]
    )
    return values, output.reconstruction


def rounded_output(
    parameters: Parameters,
    image: Float[Array, "b h w 3"],
    *,
    static_config: StaticConfig,
    size: tuple[Array, Array] | None = None,
) -> CodecOutput:
    """Returns the output for images in [0, 1] with rounded latents; see `Codec`."""
    module = codec.with_parameters(
        static_config.codec, sharding.replicate_in_step(parameters)
    )
    dtype = static_config.step.transform_dtype
    return module(image, transform_dtype=dtype, size=size)


def _update(
    state: TrainState,
    gradient: Parameters,
    loss: Float[Array, ""],
    statistics: Statistics,
    static_config: StaticConfig,
) -> tuple[TrainState, Float[Array, ""]]:
    """Applies a gradient unless a step has failed. Returns state and gradient norm."""
    updates, optimizer = static_config.transformation.update(
        gradient, state.optimizer, state.parameters
    )
    norm = optax.tree.norm(gradient)
    is_finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    is_finite &= state.failed_at == NEVER
    first_failure = jnp.where(state.failed_at == NEVER, state.step, state.failed_at)

    def update(new, old):
        updated = jax.tree.map(lambda x, y: jnp.where(is_finite, x, y), new, old)
        return sharding.shard_in_step(updated)

    parameters = optax.apply_updates(state.parameters, updates)
    average = state.statistics
    if average is not None:
        decay = static_config.loss.average_decay
        average = update(average.updated(statistics, decay), average)
    updated = TrainState(
        parameters=update(parameters, state.parameters),
        optimizer=update(optimizer, state.optimizer),
        step=state.step + 1,
        failed_at=jnp.where(is_finite, NEVER, first_failure),
        statistics=average,
    )
    return updated, norm


def _gradient(
    state: TrainState,
    image: Float[Array, "b h w 3"],
    keys: Key[Array, " b"],
    sharpness: Float[Array, ""],
    weights: LossWeights,
    static_config: StaticConfig,
) -> tuple[Parameters, Metrics, Statistics]:
    """Computes gradient, metrics and statistics of a batch, by micro-batches."""
    count = static_config.step.micro_batches
    replicated = sharding.replicate_in_step(state.parameters)
    average = sharding.replicate_in_step(state.statistics)
    batch = static_config.batch(len(image))

    def output_of(parameters, micro_batch):
        image, keys = micro_batch
        module = codec.with_parameters(static_config.codec, parameters)
        kind = static_config.step.quantization or module.context.default_quantization
        return module(
            image,
            quantization=quantization.training_quantization(kind, keys, sharpness),
            transform_dtype=static_config.step.transform_dtype,
            rematerialization=static_config.step.rematerialization,
        )

    def loss(parameters, micro_batch, statistics):
        output, image = output_of(parameters, micro_batch), micro_batch[0]
        value, *others = static_config.loss.of_part(
            output, image, weights, statistics, batch=batch, average=average
        )
        return value, others

    def gradient_of(micro_batch, statistics=None):
        gradient, (values, own) = jax.grad(loss, has_aux=True)(
            replicated, micro_batch, statistics
        )
        return sharding.shard_in_step(gradient), values, own

    def statistics_of(micro_batch):
        output = output_of(replicated, micro_batch)
        return static_config.loss.statistics(output, batch)

    if count == 1:
        return gradient_of((image, keys))
    parts = micro_batches.split((image, keys), count)
    statistics = micro_batches.mean_over(statistics_of, parts)
    return micro_batches.mean_over(lambda part: gradient_of(part, statistics), parts)
