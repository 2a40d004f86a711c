"""Sweeps: several codecs that differ only in λ, α and seed, trained in one run.

States, weights, noise keys and metrics have a first axis of members. A run of one codec
is a sweep with one member.

On accelerators one program takes the step of all members. The axis of members is split
over the mesh axis `sweep`, and each group of devices loops over its members. On a CPU,
where XLA's convolutions are slow in loops, the host calls one compiled step for each
member in turn.

Members are not vectorized with `jax.vmap`. It would merge their convolutions into
grouped ones, for which XLA gathers the activations of the whole batch on every device,
and which take three times as long on a CPU (`benchmarks/sweep.py`).
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
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree, UInt8

from jaxcorr import serialization
from jaxcorr.codec import Parameters
from jaxcorr.errors import FieldError, require
from jaxcorr.provenance import SweepMember
from jaxcorr.run_directory import WEIGHTS
from jaxcorr.training import member_axis, sharding
from jaxcorr.training import step as steps
from jaxcorr.training.loss import LossWeights, Metrics
from jaxcorr.training.step import StaticConfig
from jaxcorr.training.train_state import TrainState


@serialization.stored("Sweep")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """λ, α and seed. Each combination of their values trains a codec."""

    distortion_weight: float | Sequence[float] = 0.0130
    """λ, in bits per pixel per unit of distortion. For MSE on the 0-255 scale,
    CompressAI uses 0.0018 to 0.0483; for 1 - MS-SSIM, 2.4 to 60. Several values train
    one codec each."""
    correlation_weight: float | Sequence[float] = 0.1
    """α, in bits per pixel per unit of correlation loss; 0 trains without the loss.
    Several values train one codec each, with every λ."""
    seed: int | Sequence[int] = 0
    """Seed of the initial parameters and of the training noise. Several values train
    one codec each, with every λ and α."""

    def __post_init__(self):
        """Checks the range of every value, and that no value is repeated."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # A tuple is hashable.
                object.__setattr__(self, field.name, tuple(value))
            if not self._values(field.name):
                raise FieldError(self, field.name, "must have at least one value")
        for name in WEIGHTS:
            finite = all(0 <= weight < math.inf for weight in self._values(name))
            require(self, name, "0 or more and finite", finite)
        in_range = all(0 <= seed < 2**32 for seed in self._values("seed"))
        require(self, "seed", "in [0, 2**32)", in_range)
        for name in ("seed", *WEIGHTS):
            values = self._values(name)
            distinct = len(set(values)) == len(values)
            require(self, name, "without repetitions", distinct)

    @property
    def members(self) -> tuple[SweepMember, ...]:
        """Members of the sweep: the product of seeds, λ and α, in this order."""
        names = ("seed", *WEIGHTS)
        combinations = itertools.product(*map(self._values, names))
        return tuple(
            SweepMember(**dict(zip(names, values, strict=True)))
            for values in combinations
        )

    def _values(self, name: str) -> tuple[Any, ...]:
        """Returns the values of a field as a tuple, also for a single value."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)


def member_weights(member: SweepMember) -> LossWeights:
    """Returns λ and α of a member."""
    return LossWeights(
        distortion_weight=jnp.float32(member.distortion_weight),
        correlation_weight=jnp.float32(member.correlation_weight),
    )


def member_keys(member: SweepMember) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Returns the key of the initial parameters and the root noise key of a member."""
    initial, noise = jax.random.split(jax.random.key(member.seed))
    return initial, noise


def stack_member_weights(members: Sequence[SweepMember]) -> LossWeights:
    """Returns λ and α of all members."""
    return LossWeights(
        distortion_weight=jnp.array(
            [member.distortion_weight for member in members], jnp.float32
        ),
        correlation_weight=jnp.array(
            [member.correlation_weight for member in members], jnp.float32
        ),
    )


def stack_member_noise_keys(members: Sequence[SweepMember]) -> Key[Array, " members"]:
    """Returns the root noise keys of all members."""
    return jnp.stack([member_keys(member)[1] for member in members])


def initial_member_states(
    static_config: StaticConfig, parameters: Sequence[Parameters]
) -> TrainState:
    """Returns the states of all members before the first step, on the host.

    Args:
      static_config: Settings of the compiled step.
      parameters: Initial parameters of each member.
    """
    states = [
        steps.initial_state(static_config, member_parameters)
        for member_parameters in parameters
    ]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *states)


def runs_members_in_one_program(mesh: Mesh) -> bool:
    """Returns whether one program takes the step of all members (see the module)."""
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
    """Takes one training step for every member, on the current mesh.

    Args:
      states: States to update. Their buffers are donated: use the returned states.
      batch: Crops with values from 0 to 255, the same for all members.
      weights: λ and α of all members.
      keys: Root noise keys of all members.
      static_config: Settings of the compiled step.
      in_one_program: Whether to run one program for all members instead of one call
        for each. The result is the same.

    Returns:
      The updated states, and the metrics of `train_step` for all members.
    """
    if in_one_program:
        return train_together(states, batch, weights, keys, static_config=static_config)
    metrics = []
    for number in range(len(keys)):
        states, values = train_one(
            states, jnp.int32(number), batch, weights, keys, static_config=static_config
        )
        metrics.append(values)
    return states, member_axis.stack_members(metrics)


def evaluate_members(
    evaluate: Callable,
    parameters: Parameters,
    images: PyTree,
    weights: LossWeights,
    *,
    static_config: StaticConfig,
    in_one_program: bool,
) -> PyTree:
    """Evaluates every member on images, on the current mesh.

    Args:
      evaluate: Evaluates one member, as in `steps.evaluation_step`. Another function
        compiles another program.
      parameters: Parameters of all members.
      images: Images as `evaluate` takes them.
      weights: λ and α of all members.
      static_config: Settings of the compiled step.
      in_one_program: As in `train_members`.

    Returns:
      The results of `evaluate` for all members.
    """
    settings = {"evaluate": evaluate, "static_config": static_config}
    if in_one_program:
        return _evaluate_together(parameters, images, weights, **settings)
    (count,) = jnp.shape(weights.distortion_weight)
    evaluations = [
        _evaluate_one(parameters, jnp.int32(number), images, weights, **settings)
        for number in range(count)
    ]
    return member_axis.stack_members(evaluations)


def freeze_members(states: TrainState, step: int, frozen: Sequence[bool]) -> TrainState:
    """Freezes members as if the loss of their step `step` had not been finite.

    Args:
      states: States of all members.
      step: The step, counted from 1.
      frozen: Whether to freeze each member.
    """
    failed_at = jnp.where(jnp.asarray(frozen), jnp.int32(step - 1), states.failed_at)
    placed = jax.device_put(failed_at, states.failed_at.sharding)
    return dataclasses.replace(states, failed_at=placed)


@functools.partial(jax.jit, static_argnames="static_config", donate_argnames="states")
def train_together(states, batch, weights, keys, *, static_config: StaticConfig):
    """Takes a step of all members in one program; see `train_members`."""

    def train_member(member, batch):
        state, member_weights, key = member
        return steps.train_step(
            state, batch, member_weights, key, static_config=static_config
        )

    states, metrics = member_axis.map_members(
        train_member, (states, weights, keys), batch
    )
    return states, sharding.replicate_in_step(metrics)


@functools.partial(jax.jit, static_argnames="static_config", donate_argnames="states")
def train_one(states, number, batch, weights, keys, *, static_config: StaticConfig):
    """Takes a step of the member with a number; see `train_members`."""
    state, weight, key = member_axis.take_member((states, weights, keys), number)
    state, metrics = steps.train_step(
        state, batch, weight, key, static_config=static_config
    )
    updated = member_axis.put_member(states, state, number)
    return updated, sharding.replicate_in_step(metrics)


@functools.partial(jax.jit, static_argnames=("evaluate", "static_config"))
def _evaluate_together(
    parameters, images, weights, *, evaluate: Callable, static_config: StaticConfig
):
    def evaluate_member(member, images):
        member_parameters, member_weights = member
        return evaluate(
            member_parameters, images, member_weights, static_config=static_config
        )

    evaluations = member_axis.map_members(
        evaluate_member, (parameters, weights), images
    )
    return sharding.replicate_in_step(evaluations)


@functools.partial(jax.jit, static_argnames=("evaluate", "static_config"))
def _evaluate_one(
    parameters,
    number,
    images,
    weights,
    *,
    evaluate: Callable,
    static_config: StaticConfig,
):
    member_parameters, weight = member_axis.take_member((parameters, weights), number)
    return sharding.replicate_in_step(
        evaluate(member_parameters, images, weight, static_config=static_config)
    )
