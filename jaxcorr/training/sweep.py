"""A sweep: several runs that differ in λ, α and seed alone, trained by one program.

Everything that a member has of its own has a first axis of members: states, weights,
noise keys, metrics. A run by itself is a sweep of one.

On accelerators all members take a step in one program: the axis is split over the mesh
axis `sweep`, and members on the same group of devices follow each other in a loop on
them. On a CPU, where XLA's convolutions are slow in loops, the host calls one compiled
step for them in turn. Members are not vectorized: that makes one grouped convolution of
all of theirs, for which XLA gathers the activations of the whole batch on every device,
and which takes a CPU three times as long (`benchmarks/sweep.py`).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from jaxcorr import serialization
from jaxcorr.codec import Parameters
from jaxcorr.errors import FieldError, require
from jaxcorr.provenance import SweepMember
from jaxcorr.run_directory import WEIGHTS
from jaxcorr.training import sharding
from jaxcorr.training import step as steps
from jaxcorr.training.loss import LossWeights, Metrics
from jaxcorr.training.step import StaticConfig, TrainState

SHOWN_CROPS = 4
"""Held-out crops that are looked at."""


@serialization.stored("Sweep")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What may have several values in one run: each combination trains a codec."""

    distortion_weight: float | Sequence[float] = 0.0130
    """λ, in bits per pixel per unit of distortion: MSE on the 0-255 scale as in
    CompressAI (0.0018 to 0.0483 there), or 1 - MS-SSIM (2.4 to 60 there). Several train
    a codec each."""
    correlation_weight: float | Sequence[float] = 0.1
    """α, in bits per pixel per unit of correlation loss; 0 trains without it. Several
    train a codec each, with every λ."""
    seed: int | Sequence[int] = 0
    """Seed of the initial parameters and of the noise; several train a codec each, with
    every λ and α."""

    def __post_init__(self):
        """Checks every value, and that no two members are the same."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # Settings are hashable.
                object.__setattr__(self, field.name, tuple(value))
            if not self._values(field.name):
                raise FieldError(self, field.name, "must have at least one value")
        for name in WEIGHTS:
            finite = all(0 <= weight < math.inf for weight in self._values(name))
            require(self, name, "0 or more and finite", finite)
        within = all(0 <= seed < 2**32 for seed in self._values("seed"))
        require(self, "seed", "in [0, 2**32)", within)
        for name in ("seed", *WEIGHTS):
            values = self._values(name)
            different = len(set(values)) == len(values)
            require(self, name, "without repetitions", different)

    @property
    def members(self) -> tuple[SweepMember, ...]:
        """The runs to train: every seed with every λ and every α, in this order."""
        names = ("seed", *WEIGHTS)
        combinations = itertools.product(*map(self._values, names))
        return tuple(
            SweepMember(**dict(zip(names, values, strict=True)))
            for values in combinations
        )

    def _values(self, name: str) -> tuple[Any, ...]:
        """Returns the values of a field that has one or several."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)


def weights_of(member: SweepMember) -> LossWeights:
    """Returns λ and α of a member as arrays."""
    return LossWeights(
        distortion_weight=jnp.float32(member.distortion_weight),
        correlation_weight=jnp.float32(member.correlation_weight),
    )


def keys_of(member: SweepMember) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Returns the keys of the initial parameters and of the noise of a member."""
    initial, noise = jax.random.split(jax.random.key(member.seed))
    return initial, noise


def stacked_weights(members: Sequence[SweepMember]) -> LossWeights:
    """λ and α of all members."""
    array = lambda name: jnp.array([getattr(m, name) for m in members], jnp.float32)
    return LossWeights(**{name: array(name) for name in WEIGHTS})


def stacked_noise_keys(members: Sequence[SweepMember]) -> Key[Array, " members"]:
    """Roots of the noise of all members."""
    return jnp.stack([keys_of(member)[1] for member in members])


def initial_member_states(
    static_config: StaticConfig, parameters: Sequence[Parameters]
) -> TrainState:
    """The states of all members before the first step, on the host."""
    states = [steps.initial_state(static_config, each) for each in parameters]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *states)


def runs_members_in_one_program(mesh: Mesh) -> bool:
    """Whether members take a step in one program rather than in turn."""
    return jax.default_backend() != "cpu" or mesh.shape[sharding.SWEEP] > 1


def train_members(
    states: TrainState,
    batch: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    keys: Key[Array, " members"],
    *,
    static_config: StaticConfig,
    in_one_program: bool,
) -> tuple[TrainState, Metrics]:
    """Takes a step with every member, under the mesh that is set.

    Args:
      states: States to update. Their buffers are donated: go on with the new ones.
      batch: Crops, the same for all members.
      weights: λ and α of all members.
      keys: Roots of the noise of all members.
      static_config: Settings.
      in_one_program: Whether in one program rather than in turn; same result.

    Returns:
      The updated states, and metrics as of `steps.train_step`, of all members.
    """
    if in_one_program:
        return _train_together(
            states, batch, weights, keys, static_config=static_config
        )
    metrics = []
    for number in range(len(keys)):
        states, values = _train_one(
            states, jnp.int32(number), batch, weights, keys, static_config=static_config
        )
        metrics.append(values)
    return states, _stack(metrics)


def evaluate_members(
    parameters: Parameters,
    images: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    *,
    static_config: StaticConfig,
    in_one_program: bool,
) -> tuple[Metrics, Float[Array, "members n h w 3"]]:
    """Metrics of every member on crops, and what they make of the first few."""
    if in_one_program:
        return _evaluate_together(
            parameters, images, weights, static_config=static_config
        )
    count = len(weights.distortion_weight)
    each = [
        _evaluate_one(
            parameters, jnp.int32(number), images, weights, static_config=static_config
        )
        for number in range(count)
    ]
    return _stack(each)


def freeze_members(states: TrainState, step: int, which: Sequence[bool]) -> TrainState:
    """Lets some members change no more, as if step `step` had failed."""
    failed_at = jnp.where(jnp.asarray(which), jnp.int32(step - 1), states.failed_at)
    placed = jax.device_put(failed_at, states.failed_at.sharding)
    return dataclasses.replace(states, failed_at=placed)


@functools.partial(jax.jit, static_argnames="static_config", donate_argnames="states")
def _train_together(states, batch, weights, keys, *, static_config: StaticConfig):
    one = lambda own, batch: steps.train_step(
        own[0], batch, own[1], own[2], static_config=static_config
    )
    states, metrics = _over_members(one, (states, weights, keys), batch)
    return states, sharding.replicate_in_step(metrics)


@functools.partial(jax.jit, static_argnames="static_config", donate_argnames="states")
def _train_one(states, number, batch, weights, keys, *, static_config: StaticConfig):
    state, weight, key = _take((states, weights, keys), number)
    state, metrics = steps.train_step(
        state, batch, weight, key, static_config=static_config
    )
    return _put(states, state, number), sharding.replicate_in_step(metrics)


@functools.partial(jax.jit, static_argnames="static_config")
def _evaluate_together(parameters, images, weights, *, static_config: StaticConfig):
    one = lambda own, images: _evaluate(own[0], images, own[1], static_config)
    return sharding.replicate_in_step(_over_members(one, (parameters, weights), images))


@functools.partial(jax.jit, static_argnames="static_config")
def _evaluate_one(parameters, number, images, weights, *, static_config: StaticConfig):
    own, weight = _take((parameters, weights), number)
    return sharding.replicate_in_step(_evaluate(own, images, weight, static_config))


def _evaluate(parameters, images, weights, static_config: StaticConfig):
    metrics, made = steps.evaluation_step(
        parameters, images, weights, static_config=static_config
    )
    return metrics, made[:SHOWN_CROPS]


def _over_members(function: Callable, own: PyTree, shared: PyTree) -> PyTree:
    """Maps a function over members, each group of devices with its own.

    Nothing can pass between groups: XLA knows only those inside of one.
    """

    def within_group(own, shared):
        (count,) = {len(leaf) for leaf in jax.tree.leaves(own)}
        if count > 1:
            return _loop(lambda each: function(each, shared), own)
        alone = jax.tree.map(lambda x: x[0], own)
        return jax.tree.map(lambda x: x[None], function(alone, shared))

    members = PartitionSpec(sharding.SWEEP)
    return jax.shard_map(
        within_group,
        in_specs=(members, PartitionSpec()),
        out_specs=members,
        axis_names={sharding.SWEEP},
        check_vma=False,  # Would have every loop say what it carries of a member.
    )(own, shared)


def _loop(function: Callable, own: PyTree) -> PyTree:
    """Maps a function over members one after another."""
    count = len(jax.tree.leaves(own)[0])
    # XLA's loops on a CPU run convolutions on one slow path: unrolled they are fast.
    unroll = count if jax.default_backend() == "cpu" else 1
    step = lambda _, each: (None, function(each))
    return jax.lax.scan(step, None, own, unroll=unroll)[1]


def _take(tree: PyTree, number: Int[Array, ""]) -> PyTree:
    index = lambda x: jax.lax.dynamic_index_in_dim(x, number, keepdims=False)
    return jax.tree.map(index, tree)


def _put(tree: PyTree, member: PyTree, number: Int[Array, ""]) -> PyTree:
    update = lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, number, 0)
    return jax.tree.map(update, tree, member)


@jax.jit
def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
