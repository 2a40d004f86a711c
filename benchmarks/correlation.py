"""Measures the correlation loss against an implementation that unfolds its windows.

    python benchmarks/correlation.py

Prints the median time and the temporary memory of the compiled value and gradient of
the loss with a 7x7 window, for both implementations, and then the shares of the loss
and of its variants, with the map that is logged, in the time of train steps. Takes
about four minutes on two CPU cores.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcorr import codec, correlation
from jaxcorr.codec import CodecConfig
from jaxcorr.training.averaging import empty_average
from jaxcorr.training.correlation_term import tangent
from jaxcorr.training.loss import Batch, LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StaticConfig, StepConfig, initial_state, train_step
from jaxcorr.training.sweep import SweepConfig, member_weights
from jaxcorr.transforms.minnen import Minnen

WINDOW = 7
REPETITIONS = 5
CROP = 256
STEPS = ((64, 96, 8), (128, 192, 8))
"""Width, channels and batch size of the train steps."""
# Training: 16 crops of 256x256 pixels. Evaluation: 8 photographs of 512x768 pixels.
SHAPES = ((16, 16, 16, 192), (8, 32, 48, 320))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Time and memory of one call of a compiled function.

    Attributes:
      milliseconds: Median time of a call.
      mebibytes: Temporary memory, without arguments and results.
    """

    milliseconds: float
    mebibytes: float


def measure(functions: Mapping[str, Callable], *arguments) -> dict[str, Cost]:
    """Compiles functions and times them in turns, so that a busy machine slows all."""
    compiled = {
        name: jax.jit(function).lower(*arguments).compile()
        for name, function in functions.items()
    }
    seconds = {name: [] for name in functions}
    for _ in range(1 + REPETITIONS):
        for name, function in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            seconds[name].append(time.perf_counter() - start)
    return {
        name: Cost(
            # The first call is a warm-up.
            milliseconds=1e3 * statistics.median(seconds[name][1:]),
            mebibytes=_temporary_bytes(function) / 2**20,
        )
        for name, function in compiled.items()
    }


def _temporary_bytes(function: jax.stages.Compiled) -> int:
    analysis = function.memory_analysis()
    assert analysis is not None, "This backend does not analyze its memory."
    return analysis.temp_size_in_bytes


def unfolded_map(
    normalized: Float[Array, "b h w c"], *, window: int
) -> Float[Array, "{window} {window}"]:
    """Computes `correlation.correlation_map` from an array of all windows."""
    margin = window // 2
    centers = normalized[:, margin:-margin, margin:-margin, :, None]
    windows = jax.lax.conv_general_dilated_patches(
        normalized,
        (window, window),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ).reshape(*centers.shape[:-1], window**2)
    return jnp.mean(windows * centers, axis=(0, 1, 2, 3)).reshape(window, window)


def value_and_gradient(correlation_map: Callable) -> Callable:
    """Returns the loss with its gradient in latent, mean and scale, given a map."""

    def loss(latent, mean, scale):
        normalized = correlation.normalize(latent, mean, scale)
        map = correlation_map(normalized, window=WINDOW)
        return correlation.masked_norm(map, "point")

    return jax.value_and_grad(loss, argnums=(0, 1, 2))


def print_loss_table() -> None:
    """Prints the cost of the loss at each shape, and its ratio to unfolding."""
    functions = {
        "unfold": value_and_gradient(unfolded_map),
        "jaxcorr": value_and_gradient(correlation.correlation_map),
    }
    print(f"Value and gradient of the loss, {WINDOW}x{WINDOW}, {jax.devices()[0]}")
    print(
        f"{'shape':>16} {'':8} {'time ms':>9} {'ratio':>6} {'temp MiB':>9} {'ratio':>6}"
    )
    for shape in SHAPES:
        latent, mean, noise = jax.random.normal(jax.random.key(0), (3, *shape))
        costs = measure(functions, latent, 0.1 * mean, jnp.exp(0.3 * noise))
        base = costs["unfold"]
        for name, cost in costs.items():
            print(
                f"{'x'.join(map(str, shape)):>16} {name:8}"
                f" {cost.milliseconds:9.1f}"
                f" {_ratio(base.milliseconds / cost.milliseconds):>6}"
                f" {cost.mebibytes:9.1f}"
                f" {_ratio(base.mebibytes / cost.mebibytes):>6}"
            )


def print_step_share() -> None:
    """Prints the share of the loss in the time of train steps."""
    print(f"\nShare of a train step, crops of {CROP}x{CROP}")
    for width, channels, batch_size in STEPS:
        costs = _step_costs(width, channels, batch_size)
        step = costs.pop("step").milliseconds
        print(f"  widths {width}/{channels}, batch {batch_size}: {step:.0f} ms")
        for name, cost in costs.items():
            alone = cost.milliseconds
            print(f"    {name:20} {alone:6.1f} ms = {100 * alone / step:.2f} %")


def _step_costs(width: int, channels: int, batch_size: int) -> dict[str, Cost]:
    static_config = StaticConfig(
        codec=CodecConfig(transforms=Minnen(width=width, channels=channels)),
        loss=LossConfig(window=WINDOW),
        optimizer=OptimizerConfig(),
        step=StepConfig(),
        steps=1,
    )
    key, weights = jax.random.key(0), member_weights(SweepConfig().members[0])
    state = initial_state(static_config, codec.initialize(static_config.codec, key))
    batch = jnp.zeros((batch_size, CROP, CROP, 3), jnp.uint8)
    shape = (batch_size, CROP // 16, CROP // 16, channels)
    latent, mean, noise = jax.random.normal(key, (3, *shape))

    def variant(config: LossConfig) -> Callable:
        """Returns the term of a variant with its gradient, and the logged loss."""
        batch = Batch(images=batch_size, context=static_config.codec.context)
        term = config.term(batch, channels)

        def loss(latent, mean, scale):
            own = term.statistics(correlation.normalize(latent, mean, scale))
            point = own
            if config.estimator == "averaged":
                average = empty_average(own).updated(own, config.average_decay)
                point = average.average
            return tangent(term.value, point, own), term.published(own)

        return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)

    losses = {
        "published": value_and_gradient(correlation.correlation_map),
        "auto": variant(LossConfig(window=WINDOW, weight="auto")),
        "unbiased": variant(LossConfig(window=WINDOW, estimator="unbiased")),
        "whitening": variant(LossConfig(window=WINDOW, measure="whitening")),
        "whitening, averaged": variant(
            LossConfig(window=WINDOW, measure="whitening", estimator="averaged")
        ),
    }

    def step(state, batch, *_):
        # Inside another compiled function nothing is donated, so the step can repeat.
        return train_step(state, batch, weights, key, static_config=static_config)

    def alone(loss):
        return lambda state, batch, *latents: loss(*latents)

    functions = {"step": step} | {name: alone(loss) for name, loss in losses.items()}
    return measure(functions, state, batch, latent, mean, jnp.exp(0.3 * noise))


def _ratio(times_less: float) -> str:
    return f"1/{times_less:.0f}"


if __name__ == "__main__":
    print_loss_table()
    print_step_share()
