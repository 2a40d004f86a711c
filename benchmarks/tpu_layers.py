"""Compares forms of the largest layers of Minnen 192/320 by the compiler for TPU v5e.

    pip install -c constraints.txt -e '.[test,tpu-aot]'
    python benchmarks/tpu_layers.py [--batch 16]

Compiles a layer with its gradients for one chip, without a TPU, in layouts that the
compiler chooses, and prints the milliseconds that it expects. Nothing runs. Whole steps
fuse more (`tpu_operations.py`), so only forms of the same layer compare.

Forms "over phases" keep the arrays of 128x128 positions as four phases of rows and
columns: 64x64 positions of 4 x 192 channels, a multiple of the 128 lanes. Two such
layers in a row need no copy in between.
"""

import dataclasses
import functools
from collections.abc import Callable

import program_traffic
import roofline
import tpu_programs  # Before JAX.
import tyro

# isort: split
import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array

from jaxcorr import ops
from jaxcorr.layers import convolution
from jaxcorr.layers.convolution import pointwise_convolution
from jaxcorr.layers.phases import polyphase_upsampling

WIDTH = 192
PHASES = 4 * WIDTH


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A form of a layer.

    Attributes:
      layer: Name of the layer.
      name: Name of the form.
      apply: Computes the output from the input and the parameter.
      parameter: Shape of the parameter.
      side: Height and width of the input.
      inputs: Channels of the input.
    """

    layer: str
    name: str
    apply: Callable[[Array, Array], Array]
    parameter: tuple[int, ...]
    side: int
    inputs: int


def normalize(x: Array, gamma: Array) -> Array:
    """Computes GDN with a beta of 1."""
    energy = 1 + pointwise_convolution(x**2, gamma).astype(jnp.float32)
    return x * jax.lax.rsqrt(energy).astype(x.dtype)


def normalize_phases(x: Array, gamma: Array) -> Array:
    """Computes GDN of four phases by a matrix of four equal blocks."""
    return normalize(x, jax.scipy.linalg.block_diag(*[gamma] * 4))


def upsample_rows(x: Array, kernel: Array) -> Array:
    """Computes even and odd rows of a transposed convolution apart."""
    flipped = kernel[:, ::-1]

    def rows(taps: Array, margin: tuple[int, int]) -> Array:
        return ops.convolve(x, taps, padding=[margin, (2, 3)], dilation=(1, 2))

    both = rows(flipped[4::-2], (1, 1)), rows(flipped[3::-2], (0, 1))
    batch, height, width, channels = both[0].shape
    return jnp.stack(both, axis=2).reshape(batch, 2 * height, width, channels)


DOWN, NORM = "5x5 at stride 2, from 128x128", "GDN at 128x128"
UP, LAST = "upsampling to 128x128", "upsampling to 256x256, 3 channels"
SQUARE = (5, 5, WIDTH, WIDTH)
STRIDED = functools.partial(ops.convolve, stride=2, padding=[(2, 2), (2, 2)])
FORMS = [
    Form(layer=layer, name=name, apply=apply, parameter=shape, side=side, inputs=inputs)
    for layer, name, apply, shape, side, inputs in (
        (DOWN, "strided", STRIDED, SQUARE, 128, WIDTH),
        (DOWN, "over phases", ops.convolve, (3, 3, PHASES, WIDTH), 64, PHASES),
        (NORM, "1x1 convolution", normalize, (WIDTH, WIDTH), 128, WIDTH),
        (NORM, "over phases", normalize_phases, (WIDTH, WIDTH), 64, PHASES),
        (UP, "transposed", convolution.transposed_upsampling, SQUARE, 64, WIDTH),
        (UP, "polyphase", polyphase_upsampling, SQUARE, 64, WIDTH),
        (UP, "by rows", upsample_rows, SQUARE, 64, WIDTH),
        (UP, "over phases", ops.convolve, (3, 3, WIDTH, PHASES), 64, WIDTH),
        (
            LAST,
            "transposed",
            convolution.transposed_upsampling,
            (5, 5, WIDTH, 3),
            128,
            WIDTH,
        ),
        (
            LAST,
            "polyphase",
            polyphase_upsampling,
            (5, 5, WIDTH, 3),
            128,
            WIDTH,
        ),
        (LAST, "over phases", ops.convolve, (3, 3, PHASES, 48), 64, PHASES),
    )
]


def main(batch: int = 16) -> None:
    """Prints a line for each form.

    Args:
      batch: Images.
    """
    print(f"Gradients of layers in bfloat16, {batch} images, one chip of TPU v5e")
    print(
        f"{'layer':36}{'form':18}{'compiler ms':>12}{'arith. ms':>11}{'memory ms':>11}"
    )
    for form in FORMS:
        compiled = compile_gradients(form, batch)
        operations = program_traffic.operations(compiled.as_text() or "")
        costs = compiled.cost_analysis()
        assert costs is not None
        cycles = sum(operation.cycles for operation in operations)
        memory = sum(operation.memory for operation in operations)
        print(
            f"{form.layer:36}{form.name:18}{1e3 * cycles / roofline.CLOCK:12.2f}"
            f"{1e3 * costs['flops'] / roofline.PEAK_FLOPS:11.2f}"
            f"{1e3 * memory / roofline.PEAK_MEMORY:11.2f}",
            flush=True,
        )


def compile_gradients(form: Form, batch: int) -> jax.stages.Compiled:
    """Compiles a layer with the gradients of its input and its parameter."""
    topology = topologies.get_topology_desc(
        platform="tpu", topology_name=tpu_programs.TOPOLOGIES[8]
    )
    anywhere = Format(Layout.AUTO, SingleDeviceSharding(topology.devices[0]))
    x = jax.ShapeDtypeStruct((batch, form.side, form.side, form.inputs), jnp.bfloat16)
    parameter = jax.ShapeDtypeStruct(form.parameter, jnp.bfloat16)

    def gradients(x, parameter, cotangent):
        output, pull_back = jax.vjp(form.apply, x, parameter)
        return output, pull_back(cotangent)

    return (
        jax.jit(gradients, in_shardings=anywhere, out_shardings=anywhere)
        .lower(x, parameter, jax.eval_shape(form.apply, x, parameter))
        .compile()
    )


if __name__ == "__main__":
    tyro.cli(main)
