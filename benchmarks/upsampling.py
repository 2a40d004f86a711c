"""Measures `Upsampling` against the transposed convolution that it computes.

    python benchmarks/upsampling.py

Prints the median time of the gradients of input and kernel for both, and the speed-up
over `lax.conv_transpose`. Takes about two minutes on two CPU cores.
"""

import statistics
import time

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr.layers.convolution import Upsampling

REPETITIONS = 5
CASES = (((4, 64, 64, 128), 128), ((8, 128, 128, 128), 3), ((8, 16, 16, 192), 128))
"""Shape of the input, and output channels, of layers of a synthesis transform."""


def transposed(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """Computes the output of `Upsampling` without its bias."""
    return jax.lax.conv_transpose(
        x,
        kernel[::-1, ::-1],
        strides=(2, 2),
        padding=[(2, 3), (2, 3)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def milliseconds(shape: tuple[int, ...], outputs: int) -> tuple[float, float]:
    """Returns median times of the gradients, of the transposed convolution first."""
    layer = Upsampling(shape[-1], outputs, rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    x_key, weight_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, shape)
    weights = jax.random.normal(
        weight_key, (shape[0], 2 * shape[1], 2 * shape[2], outputs)
    )

    @jax.jit
    def of_transposed(x, kernel):
        return jax.grad(lambda *p: jnp.sum(transposed(*p) * weights), (0, 1))(x, kernel)

    @jax.jit
    def of_layer(x, kernel):
        def loss(x, kernel):
            y = nnx.merge(graph, {**state, "kernel": kernel})(x)
            return jnp.sum(y * weights)

        return jax.grad(loss, (0, 1))(x, kernel)

    seconds = {of_transposed: [], of_layer: []}
    results = {}
    # In turns, so that a busy machine slows both. The first call compiles.
    for _ in range(1 + REPETITIONS):
        for function, times in seconds.items():
            start = time.perf_counter()
            results[function] = jax.block_until_ready(function(x, layer.kernel[...]))
            times.append(time.perf_counter() - start)
    for expected, actual in zip(*results.values(), strict=True):
        tolerance = 1e-3 * jnp.abs(expected).max()
        assert jnp.allclose(expected, actual, rtol=1e-3, atol=tolerance)
    before, after = (1e3 * statistics.median(times[1:]) for times in seconds.values())
    return before, after


def print_table() -> None:
    """Prints a line for each size."""
    print(f"Gradient of 5x5 upsampling by 2, {jax.devices()[0]}")
    print(
        f"{'input':>16} {'outputs':>8} {'transposed ms':>14} {'ours ms':>9}"
        f" {'speed-up':>9}"
    )
    for shape, outputs in CASES:
        before, after = milliseconds(shape, outputs)
        print(
            f"{'x'.join(map(str, shape)):>16} {outputs:>8}"
            f" {before:14.1f} {after:9.1f} {before / after:8.1f}x"
        )


if __name__ == "__main__":
    print_table()
