"""Measures `Upsampling` against the transposed convolution that it stands for.

    python benchmarks/upsampling.py

Prints the median time of the gradient to input and kernel, and how many times less that
is than by way of `lax.conv_transpose`. Takes about two minutes on two CPU cores.
"""

import statistics
import time

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr.layers.convolution import Upsampling

REPETITIONS = 5
# Input and output channels of the synthesis: its second layer at a batch of 4 crops of
# 512x512 pixels, and its last, to the image, at 8 crops of 256x256.
CASES = (((4, 64, 64, 128), 128), ((8, 128, 128, 128), 3), ((8, 16, 16, 192), 128))


def transposed(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """The output of `Upsampling`, without its bias."""
    return jax.lax.conv_transpose(
        x,
        kernel[::-1, ::-1],
        strides=(2, 2),
        padding=[(2, 3), (2, 3)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def milliseconds(shape: tuple[int, ...], outputs: int) -> tuple[float, float]:
    """Median times of the gradients, of the transposed convolution first."""
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
        run = lambda x, kernel: nnx.merge(graph, {**state, "kernel": kernel})(x)
        return jax.grad(lambda *p: jnp.sum(run(*p) * weights), (0, 1))(x, kernel)

    seconds = {of_transposed: [], of_layer: []}
    results = {}
    # In turn, so that a busy machine slows both. The first call of each compiles it.
    for _ in range(1 + REPETITIONS):
        for function, taken in seconds.items():
            start = time.perf_counter()
            results[function] = jax.block_until_ready(function(x, layer.kernel[...]))
            taken.append(time.perf_counter() - start)
    for one, other in zip(*results.values(), strict=True):
        assert jnp.allclose(one, other, rtol=1e-3, atol=1e-3 * jnp.abs(one).max())
    before, after = (1e3 * statistics.median(taken[1:]) for taken in seconds.values())
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
