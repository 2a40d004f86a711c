"""Parts of a batch that are computed one after another, to save memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def split(batch: PyTree, count: int) -> PyTree:
    """Splits arrays of a batch into micro-batches, along a new first axis.

    Each micro-batch takes every `count`-th image, so that no image changes its device.
    """
    return jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(-1, count, *x.shape[1:]), 1, 0), batch
    )


def mean_over(function: Callable, micro_batches: PyTree) -> PyTree:
    """Averages a function over micro-batches, one after another."""
    count = len(jax.tree.leaves(micro_batches)[0])
    first = jax.tree.map(lambda x: x[0], micro_batches)
    shapes = jax.eval_shape(function, first)
    zero = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

    def add(total, micro_batch):
        return jax.tree.map(jnp.add, total, function(micro_batch)), None

    total, _ = jax.lax.scan(add, zero, micro_batches, unroll=_unrolled(count))
    return jax.tree.map(lambda x: x / count, total)


def _unrolled(count: int) -> int:
    """Returns how many rounds of a loop the program has in a row."""
    # XLA runs convolutions in loops slowly on a CPU, so loops are unrolled there.
    return count if jax.default_backend() == "cpu" else 1
