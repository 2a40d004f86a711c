"""The first axis of members, which all arrays of a sweep have."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int, PyTree

from jaxcorr.training import sharding


def map_members(function: Callable, members: PyTree, shared: PyTree) -> PyTree:
    """Maps a function over members, each group of devices with its own members.

    Groups exchange no data: inside the function XLA sees only the devices of one group.

    Args:
      function: Takes the entries of one member, and `shared`.
      members: Arrays with a first axis of members.
      shared: Arrays that are the same for all members.

    Returns:
      The results of all members, with a first axis of members.
    """

    def map_group(members, shared):
        (count,) = {len(leaf) for leaf in jax.tree.leaves(members)}
        if count > 1:
            return _loop(lambda member: function(member, shared), members)
        member = jax.tree.map(lambda x: x[0], members)
        return jax.tree.map(lambda x: x[None], function(member, shared))

    over_groups = PartitionSpec(sharding.SWEEP)
    return jax.shard_map(
        map_group,
        in_specs=(over_groups, PartitionSpec()),
        out_specs=over_groups,
        axis_names={sharding.SWEEP},
        check_vma=False,  # Else loops must declare how their carries vary over groups.
    )(members, shared)


def take_member(tree: PyTree, number: Int[Array, ""]) -> PyTree:
    """Returns the entries of one member."""

    def take(x):
        return jax.lax.dynamic_index_in_dim(x, number, keepdims=False)

    return jax.tree.map(take, tree)


def put_member(tree: PyTree, member: PyTree, number: Int[Array, ""]) -> PyTree:
    """Replaces the entries of one member."""

    def put(x, new):
        return jax.lax.dynamic_update_index_in_dim(x, new, number, 0)

    return jax.tree.map(put, tree, member)


@jax.jit
def stack_members(trees: Sequence[PyTree]) -> PyTree:
    """Stacks trees of single members along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _loop(function: Callable, members: PyTree) -> PyTree:
    """Maps a function over members one after another."""

    def step(_, member):
        return None, function(member)

    count = len(jax.tree.leaves(members)[0])
    # XLA runs convolutions in loops slowly on a CPU, so loops are unrolled there.
    unroll = count if jax.default_backend() == "cpu" else 1
    return jax.lax.scan(step, None, members, unroll=unroll)[1]
