"""The train state, and one step of training on a batch of crops."""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from jaxcorr import codec, quantization, serialization
from jaxcorr.codec import CodecConfig, Parameters
from jaxcorr.errors import require
from jaxcorr.metrics import image_quality
from jaxcorr.quantization import QuantizationName
from jaxcorr.soft_rounding import SHARPNESS_MAXIMUM
from jaxcorr.training import sharding
from jaxcorr.training.loss import LossConfig, LossWeights, Metrics
from jaxcorr.training.optimizer import OptimizerConfig

NEVER = -1


@serialization.stored("Step")
@dataclasses.dataclass(frozen=True, kw_only=True)
class StepConfig:
    """How one step is computed."""

    quantization: QuantizationName | None = None
    """What synthesis and context model are trained on: latents with uniform noise, as
    in Ballé 2018, rounded ones with the gradient of the identity, or softly rounded
    ones with noise, as in Agustsson and Theis 2020, of which then are the bits too;
    None takes what the context model was published with."""
    sharpness_start: float = 1.0
    """How sharp soft rounding is at the first step; 0 is noise alone. Other decoder
    inputs have no sharpness."""
    sharpness_end: float = 5.0
    """How sharp soft rounding is at the last step, up to which it rises evenly; 64, the
    most there is, is next to rounding."""
    micro_batches: int = 1
    """Parts that a batch is worked through in, to save memory; same result."""
    transform_dtype: Literal["float32", "bfloat16"] = "float32"
    """What analysis and synthesis compute in; everything else is float32."""

    def __post_init__(self):
        """Checks the micro-batches, and that the sharpness does not decrease."""
        start, end = self.sharpness_start, self.sharpness_end
        most = SHARPNESS_MAXIMUM
        require(self, "micro_batches", "at least 1", self.micro_batches >= 1)
        require(self, "sharpness_start", f"from 0 to {most:g}", 0 <= start <= most)
        rule = f"from sharpness_start ({start:g}) to {most:g}"
        require(self, "sharpness_end", rule, start <= end <= most)

    def sharpness(self, step: Int[Array, ""], *, steps: int) -> Float[Array, ""]:
        """Sharpness of soft rounding at a step of a run of this length."""
        progress = jnp.minimum(step / max(steps - 1, 1), 1.0)
        return self.sharpness_start + progress * (
            self.sharpness_end - self.sharpness_start
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StaticConfig:
    """All settings that the compiled step depends on.

    Attributes:
      codec: What is trained.
      objective: What is minimized, for any weights.
      optimizer: How gradients become steps.
      step: How one step is computed.
      steps: Length of the run, for the learning rate and the sharpness.
    """

    codec: CodecConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    step: StepConfig
    steps: int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that training changes, and so everything that a checkpoint holds.

    The leaves are arrays, or their shapes; a first axis may count members of a sweep.

    Attributes:
      parameters: Parameters of the codec, by path.
      optimizer: State of the optimizer.
      step: Steps taken.
      failed_at: First step whose loss or gradient was not finite, -1 if none was. From
        then on nothing changes but `step`.
    """

    parameters: PyTree
    optimizer: PyTree
    step: PyTree
    failed_at: PyTree


def initial_state(static_config: StaticConfig, parameters: Parameters) -> TrainState:
    """The state before the first step."""
    return TrainState(
        parameters=parameters,
        optimizer=static_config.optimizer.transformation(static_config.steps).init(
            parameters
        ),
        step=jnp.int32(0),
        failed_at=jnp.int32(NEVER),
    )


# Inlined where another program calls it: there is one step, by itself or of a member.
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

    The noise depends on the key, the step count and the place in the batch alone, so a
    resumed run repeats the run it resumes.

    Args:
      state: State to update. Its buffers are donated: go on with the new one.
      batch: Crops, 0 to 255.
      weights: λ and α.
      key: Root of all noise of the run; the same at every step.
      static_config: Settings; others compile another step.

    Returns:
      The updated state, and metrics at the parameters before the update; among them
      the new `failed_at`, which stays readable when the state is donated again.
    """
    image = batch.astype(jnp.float32) / 255
    keys = jax.random.split(jax.random.fold_in(key, state.step), len(image))
    sharpness = static_config.step.sharpness(state.step, steps=static_config.steps)
    gradient, values = _gradient(
        state.parameters, image, keys, sharpness, weights, static_config
    )

    transformation = static_config.optimizer.transformation(static_config.steps)
    updates, optimizer = transformation.update(
        gradient, state.optimizer, state.parameters
    )
    norm = optax.tree.norm(gradient)
    healthy = jnp.isfinite(values["loss"]) & jnp.isfinite(norm)
    healthy &= state.failed_at == NEVER
    first_failure = jnp.where(state.failed_at == NEVER, state.step, state.failed_at)
    keep = functools.partial(
        jax.tree.map, lambda new, old: jnp.where(healthy, new, old)
    )
    parameters = optax.apply_updates(state.parameters, updates)
    updated = TrainState(
        parameters=sharding.shard_in_step(keep(parameters, state.parameters)),
        optimizer=sharding.shard_in_step(keep(optimizer, state.optimizer)),
        step=state.step + 1,
        failed_at=jnp.where(healthy, NEVER, first_failure),
    )
    if static_config.step.quantization == "soft_round":
        values["sharpness"] = sharpness
    return updated, values | {
        "psnr_db": image_quality.psnr_from_mse(values["mse"]),
        "gradient_norm": norm,
        "learning_rate": static_config.optimizer.schedule(static_config.steps)(
            state.step
        ),
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
    """Metrics and reconstructions of crops as a file would give them, without noise."""
    image = batch.astype(jnp.float32) / 255
    output = codec.with_parameters(
        static_config.codec, sharding.replicate_in_step(parameters)
    )(image, transform_dtype=static_config.step.transform_dtype)
    _, values = static_config.loss(output, image, weights)
    values["psnr_db"] = image_quality.psnr_from_mse(values["mse"])
    values["rate_distortion"] = (
        values["bpp"] + weights.distortion_weight * values["distortion"]
    )
    return values, output.reconstruction


def _gradient(
    parameters: Parameters,
    image: Float[Array, "b h w 3"],
    keys: Key[Array, " b"],
    sharpness: Float[Array, ""],
    weights: LossWeights,
    static_config: StaticConfig,
) -> tuple[Parameters, Metrics]:
    """Gradient and metrics of a batch, worked through in micro-batches."""
    parts = static_config.step.micro_batches
    whole = sharding.replicate_in_step(parameters)

    def output(parameters, part):
        image, keys = part
        built = codec.with_parameters(static_config.codec, parameters)
        kind = static_config.step.quantization or built.context.default_quantization
        return built(
            image,
            quantization=quantization.training_quantization(kind, keys, sharpness),
            transform_dtype=static_config.step.transform_dtype,
        )

    def loss(parameters, part, average):
        return static_config.loss(output(parameters, part), part[0], weights, average)

    def gradient_of(part, average=None):
        gradient, values = jax.grad(loss, has_aux=True)(whole, part, average)
        return sharding.shard_in_step(gradient), values

    if parts == 1:
        return gradient_of((image, keys))

    # Every micro-batch takes each `parts`-th image: a device keeps the images it has.
    split = lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)
    parted = (split(image), split(keys))
    map_of = lambda part: static_config.loss.correlation_map(output(whole, part))
    average = _mean_over(map_of, parted)
    return _mean_over(lambda part: gradient_of(part, average), parted)


def _mean_over(function, parted: PyTree) -> PyTree:
    """Mean of a function of micro-batches, worked through one after another."""
    parts = len(jax.tree.leaves(parted)[0])
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parted))
    zero = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(part)), None

    # XLA's loops on a CPU run convolutions on one slow path: unrolled they are fast.
    unroll = parts if jax.default_backend() == "cpu" else 1
    total, _ = jax.lax.scan(add, zero, parted, unroll=unroll)
    return jax.tree.map(lambda x: x / parts, total)
