"""The train states of runs: what a run starts from, and what others have stored."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxcorr import codec, run_directory, saved_model, serialization
from jaxcorr.codec import CodecConfig, Parameters
from jaxcorr.config import TrainConfig
from jaxcorr.errors import UserError
from jaxcorr.model import Model, make_model
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.training import checkpoints, loop, sharding, stored_state, sweep
from jaxcorr.training import step as steps
from jaxcorr.training.step import StaticConfig
from jaxcorr.training.train_state import NEVER, TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Initial:
    """Read from other runs, before anything is compiled.

    Attributes:
      parameters: Parameters to start from; None draws them for each member.
      states: States to go on from, of one member or of every member; empty unless the
        run is a branch.
    """

    parameters: Parameters | None = None
    states: tuple[TrainState, ...] = ()


def read_initial(config: TrainConfig) -> Initial:
    """Reads what a run starts from, and checks that it fits.

    Raises:
      UserError: If the run or model to start from cannot be read, or does not fit.
    """
    if config.branch:
        return Initial(states=_branch_states(config))
    if config.init_from:
        path = as_path(config.init_from)
        return Initial(parameters=pretrained_parameters(path, config.codec))
    return Initial()


def pretrained_parameters(path: AnyPath, wanted: CodecConfig) -> Parameters:
    """Reads the parameters that training starts from.

    Args:
      path: Run directory or model folder.
      wanted: Settings of the codec to train.

    Raises:
      UserError: If the parameters cannot be read, or belong to another codec.
    """
    model = run_directory.load(path)
    _check_codec(f"init-from: {path}", model.config, wanted, subject="the config")
    return model.device_parameters


def initial_state(run: loop.Run, initial: Initial) -> TrainState:
    """Returns the state of all members before the first step, on the devices.

    Args:
      run: The run.
      initial: What it starts from.
    """
    if initial.states:
        count = len(run.members) // len(initial.states)
        states = jax.tree.map(lambda *leaves: np.stack(leaves), *initial.states * count)
    else:
        parameters = [
            initial.parameters
            or codec.initialize(run.static_config.codec, sweep.member_keys(member)[0])
            for member in run.members
        ]
        states = sweep.initial_member_states(run.static_config, parameters)
    return sharding.shard_state(states, run.mesh, members=True)


def abstract_state(run: loop.Run) -> TrainState:
    """Returns shapes, dtypes and shardings of the state of all members."""
    states = _abstract_states(run.static_config, len(run.members))
    return sharding.shard_abstract_state(states, run.mesh, members=True)


def raw_model(path: str | AnyPath, *, checkpoint: str = "best") -> Model:
    """Reads the model of a run with the parameters of its last step, not their average.

    Args:
      path: Run directory, or RUN@MEMBER of a sweep.
      checkpoint: Checkpoint of the run, as in `run_directory.load`.

    Raises:
      UserError: If the model does not exist, is not that of a run, or cannot be read.
    """
    folder = run_directory.find(path, checkpoint)
    source = run_directory.checkpoint_of(folder)
    if source is None:
        raise UserError(f"{path} is not a run: only a run has raw parameters")
    config = _read_settings(*source)
    parameters, number = _read_states(*source, config).parameters, int(folder.name)
    return make_model(
        config.codec,
        {name: array[number] for name, array in parameters.items()},
        provenance=saved_model.read_provenance(folder),
    )


def _read_settings(run: AnyPath, step: int) -> TrainConfig:
    """Reads the settings with which a run wrote a checkpoint."""
    saved = checkpoints.run_settings(run, step)
    return serialization.from_json(TrainConfig, saved, str(run))


def _read_states(run: AnyPath, step: int, config: TrainConfig) -> TrainState:
    """Reads the states of all members of a run after a step."""
    abstract = _abstract_states(config.static_config, len(config.members))
    return stored_state.read_state(run, step, abstract)


def _abstract_states(static_config: StaticConfig, members: int) -> TrainState:
    """Returns shapes and dtypes of the state of all members."""

    def states(parameters: Parameters) -> TrainState:
        state = steps.initial_state(static_config, parameters)
        return jax.tree.map(lambda x: jnp.stack([x] * members), state)

    return jax.eval_shape(states, codec.abstract_parameters(static_config.codec))


def _branch_states(config: TrainConfig) -> tuple[TrainState, ...]:
    """Reads the states that a branch goes on from."""
    run, member = run_directory.split_member(str(config.branch))
    step = config.branch_step or 0
    if step not in run_directory.checkpoint_directories(run):
        raise UserError(f"branch: {run} has no checkpoint {step}")
    source = _read_settings(run, step)
    _check_branch(config, source)
    numbers = range(len(source.members)) if member is None else [member]
    if len(config.members) % len(numbers) or len(numbers) not in (
        1,
        len(config.members),
    ):
        raise UserError(
            f"branch: {run} has {len(numbers)} members and the branch "
            f"{len(config.members)}: start from one of them, {run}@0"
        )
    states = _read_states(run, step, source)
    for number in numbers:
        if states.failed_at[number] != NEVER:
            raise UserError(
                f"branch: member {number} of {run} has stopped, since its loss was not "
                "finite"
            )
    if source.loss != config.loss:  # Other statistics: their average starts anew.
        empty = config.loss.empty_average(config.codec)
        averages = jax.tree.map(lambda x: np.stack([x] * len(source.members)), empty)
        states = dataclasses.replace(states, statistics=averages)
    return tuple(jax.tree.map(lambda x, n=n: x[n], states) for n in numbers)


def _check_codec(
    name: str, found: CodecConfig, wanted: CodecConfig, *, subject: str
) -> None:
    """Checks that the parameters of a codec are those of the codec to train."""
    changed = serialization.differences(
        serialization.to_json(found), serialization.to_json(wanted)
    )
    for field, (old, new) in changed.items():
        setting = serialization.flag(wanted, field)
        raise UserError(f"{name} has codec.{setting} {old}, but {subject} has {new}")


def _check_branch(config: TrainConfig, source: TrainConfig) -> None:
    """Checks that the state of another run can be continued."""
    before, after = source.optimizer, config.optimizer
    name = f"branch: {config.branch}"
    _check_codec(name, source.codec, config.codec, subject="the branch")
    if before.method != after.method:
        raise UserError(
            f"branch: {config.branch} has optimizer.method {before.method}, whose "
            f"state {after.method} cannot continue: use init-from"
        )
    if bool(before.ema_decay) != bool(after.ema_decay):
        held = "an average" if before.ema_decay else "no average"
        raise UserError(
            f"branch: {config.branch} has {held} of the parameters "
            f"(optimizer.ema-decay {before.ema_decay:g}), so the branch cannot have "
            f"optimizer.ema-decay {after.ema_decay:g}"
        )
    if config.steps <= (config.branch_step or 0):
        raise UserError(
            f"steps must be more than {config.branch_step}, where the branch starts, "
            f"but is {config.steps}"
        )
