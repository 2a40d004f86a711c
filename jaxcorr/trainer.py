"""Trains a codec or a sweep in this process: `train(config)`."""

import contextlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxcorr import codec, config_files, run_directory, runtime, serialization
from jaxcorr.codec import CodecConfig, Parameters
from jaxcorr.config import TrainConfig, with_changes
from jaxcorr.data import pipeline, sources
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance
from jaxcorr.training import checkpoints, distributed, loop, sharding, sweep
from jaxcorr.training import step as steps
from jaxcorr.training.logger import FileLogger, NullLogger, RunLogger
from jaxcorr.training.step import TrainState

MAY_CHANGE = {
    ("steps",),
    ("workdir",),
    ("data", "workers"),
    ("intervals",),
    ("mesh",),
    ("distributed",),
}
"""Paths of the fields that may change when a run is resumed, with all fields below."""


def train(config: TrainConfig | str, **changes: Any) -> Path:
    """Trains until the end of the run, from its newest checkpoint if there is one.

    Settings are checked before a file is written or a program is compiled. For example,
    `train("quickstart", steps=100, codec={"transforms": {"width": 16}})`.

    Args:
      config: Settings of the run, or the name of a packaged config or the path of a
        config file, as in `load_config`.
      **changes: Settings to change, by their names. A mapping changes some fields of a
        part of the settings.

    Returns:
      The run directory, from which `jaxcorr.load` reads the model.

    Raises:
      UserError: If the config does not exist, if the settings do not fit the run to
        resume, the devices or the data, or for the reasons of `loop.train`.
      Preempted: As `loop.train`.
    """
    if isinstance(config, str):
        config = config_files.load_config(config)
    config = with_changes(config, changes)
    if config.workdir is None:
        raise UserError("workdir must name the run directory, but is None")
    workdir = Path(config.workdir)
    start = distributed.broadcast_from_first(checkpoints.latest_step(workdir))
    pretrained = None
    if start:
        check_resumable(config, checkpoints.run_settings(workdir, start), workdir)
    elif config.init_from:
        pretrained = pretrained_parameters(Path(config.init_from), config.codec)
    if start >= config.steps:
        if distributed.is_first_process():
            print(f"{workdir} holds {start} of {config.steps} steps: nothing to train")
        return workdir
    mesh = make_mesh(config)
    source = sources.training_source(config.data)
    run = make_run(config, mesh)
    with contextlib.ExitStack() as stack:
        saved = stack.enter_context(open_checkpoints(run, workdir))
        runtime.enable_compilation_cache(workdir / "programs")
        if start:
            start, state = saved.restore_newest(abstract_state(run))
        else:
            state = initial_state(run, pretrained)
        rows = sharding.local_rows(run.mesh, run.batch_size)
        batches = pipeline.batches(source, config.data, start=start, rows=rows)
        stack.callback(batches.close)
        log = stack.enter_context(open_log(run, workdir, start))
        log.log_message(introduction(run, workdir, start, state, images=len(source)))
        loop.train(run, state, batches, saved, log)
    return workdir


def check_resumable(config: TrainConfig, saved: Any, workdir: Path) -> None:
    """Checks that a run can be resumed with the settings of a config.

    Args:
      config: Settings of the command.
      saved: Settings of the newest checkpoint, as JSON.
      workdir: The run directory, for messages.

    Raises:
      UserError: If a field differs that must not change.
    """
    before = serialization.to_json(
        serialization.from_json(TrainConfig, saved, str(workdir))
    )
    changed = serialization.differences(before, serialization.to_json(config))
    for path, (old, new) in changed.items():
        if not MAY_CHANGE & {path[:1], path}:
            flag = serialization.flag(config, path)
            value = " ".join(map(str, old)) if isinstance(old, list) else old
            raise UserError(
                f"{workdir} was started with {flag} {old}, not {new}. Use another "
                f"--workdir, or --{flag} {value}"
            )


def pretrained_parameters(path: Path, wanted: CodecConfig) -> Parameters:
    """Reads the parameters that training starts from.

    Args:
      path: Run directory or model folder.
      wanted: Settings of the codec to train.

    Raises:
      UserError: If the parameters cannot be read, or belong to another codec.
    """
    model = run_directory.load(path)
    changed = serialization.differences(
        serialization.to_json(model.config), serialization.to_json(wanted)
    )
    for field, (pretrained, required) in changed.items():
        name = serialization.flag(wanted, field)
        raise UserError(
            f"init-from: {path} has codec.{name} {pretrained}, "
            f"but the config has {required}"
        )
    return model.device_parameters


def make_mesh(config: TrainConfig) -> Mesh:
    """Arranges all devices, and checks that batch and sweep split evenly over them.

    Raises:
      UserError: If the settings do not fit the devices.
    """
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(mesh, config.data.batch_size, config.step.micro_batches)
    sharding.check_members(mesh, len(config.members))
    return mesh


def make_run(config: TrainConfig, mesh: Mesh) -> loop.Run:
    """Returns everything that stays constant during the run.

    Raises:
      UserError: If the held-out images cannot be read.
    """
    return loop.Run(
        static_config=config.static_config,
        members=config.members,
        intervals=config.intervals,
        batch_size=config.data.batch_size,
        mesh=mesh,
        held_out=pipeline.held_out_crops(config.data),
        provenance=Provenance(config=serialization.to_json(config)),
    )


def initial_state(run: loop.Run, pretrained: Parameters | None) -> TrainState:
    """Returns the state of all members before the first step, on the devices.

    Args:
      run: The run.
      pretrained: Parameters to start from; None draws them for each member.
    """
    parameters = [
        pretrained
        or codec.initialize(run.static_config.codec, sweep.member_keys(member)[0])
        for member in run.members
    ]
    states = sweep.initial_member_states(run.static_config, parameters)
    return sharding.shard_state(states, run.mesh, members=True)


def abstract_state(run: loop.Run) -> TrainState:
    """Returns shapes, dtypes and shardings of the state of all members."""

    def states() -> TrainState:
        parameters = codec.initialize(run.static_config.codec, jax.random.key(0))
        state = steps.initial_state(run.static_config, parameters)
        return jax.tree.map(lambda x: jnp.stack([x] * len(run.members)), state)

    return sharding.shard_abstract_state(jax.eval_shape(states), run.mesh, members=True)


def open_checkpoints(
    run: loop.Run, workdir: Path
) -> contextlib.AbstractContextManager[checkpoints.Checkpoints]:
    """Opens the checkpoints of the run."""
    return checkpoints.open_checkpoints(
        workdir, max_to_keep=run.intervals.max_to_keep, members=len(run.members)
    )


def open_log(
    run: loop.Run, workdir: Path, start: int
) -> contextlib.AbstractContextManager[RunLogger]:
    """Opens the log of the run, which only the first process writes."""
    if not distributed.is_first_process():
        return contextlib.nullcontext(NullLogger())
    return FileLogger(
        workdir,
        start=start,
        steps=run.static_config.steps,
        batch_size=run.batch_size,
        members=len(run.members),
    )


def introduction(
    run: loop.Run, workdir: Path, start: int, state: TrainState, *, images: int
) -> str:
    """Returns the first line of the log, which sums up the run.

    Args:
      run: The run.
      workdir: The run directory.
      start: Steps already taken.
      state: State of all members.
      images: Number of training images.
    """
    members = len(run.members)
    parameters = sum(array.size for array in state.parameters.values()) // members
    shared = f" for each of {members} members" if members > 1 else ""
    return (
        f"{'Resuming from' if start else 'Starting at'} step {start} of "
        f"{run.static_config.steps} in {workdir}: {parameters:,} parameters{shared}, "
        f"{images} images, {jax.device_count()} {jax.default_backend()} device(s); "
        "compiling first"
    )
