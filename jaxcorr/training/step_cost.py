"""The arithmetic of a training step, as XLA counts it in the compiled program."""

import math

import jax
from jaxtyping import Array, Key, PyTree, UInt8

from jaxcorr.training import sharding, sweep
from jaxcorr.training.loss import LossWeights
from jaxcorr.training.step import StaticConfig


def train_flops(
    states: PyTree,
    batch: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    keys: Key[Array, " members"],
    *,
    static_config: StaticConfig,
    in_one_program: bool,
) -> float | None:
    """Returns the floating-point operations of a step of all members on all devices.

    After a step JAX has the compiled program, so nothing is compiled again. Operations
    that rematerialization repeats count.

    Args:
      states: States after a step.
      batch: As in `sweep.train_members`, as are all others.
      weights: λ and α of all members.
      keys: Root noise keys of all members.
      static_config: Settings of the compiled step.
      in_one_program: Whether one program takes the step of all members.

    Returns:
      Number of operations; None if the compiler does not count them.
    """
    members, mesh = len(keys), sharding.current_mesh_axes()
    if in_one_program:
        lowered = sweep.train_together.lower(
            states, batch, weights, keys, static_config=static_config
        )
    else:
        number = jax.numpy.int32(0)
        lowered = sweep.train_one.lower(
            states, number, batch, weights, keys, static_config=static_config
        )
    try:
        costs = lowered.compile().cost_analysis()
    except (NotImplementedError, RuntimeError):  # Not every plugin of a device counts.
        return None
    flops = (costs or {}).get("flops", 0.0)
    if not flops > 0:
        return None
    devices = math.prod(mesh.values())
    if not in_one_program:
        return flops * devices * members
    # XLA counts the body of a loop once. On a CPU all loops are unrolled.
    is_loop = jax.default_backend() != "cpu"
    repeats = members // mesh[sharding.SWEEP] * static_config.step.micro_batches
    return flops * devices * (repeats if is_loop else 1)
