"""Trains what a config says, in this process: `train(config)`."""

import contextlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxcorr import codec, run_directory, runtime, serialization
from jaxcorr.codec import CodecSettings, Parameters
from jaxcorr.config import Config
from jaxcorr.data import pipeline, sources
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance
from jaxcorr.training import checkpoints, distributed, loop, sharding, sweep
from jaxcorr.training import step as steps
from jaxcorr.training.logger import Log, Logs
from jaxcorr.training.step import TrainState

MAY_CHANGE = {
    *(("steps",), ("workdir",), ("data", "workers")),
    *(("cadence",), ("mesh",), ("processes",)),
}
"""Fields, and all below them, that may differ when a run is resumed."""


def train(config: Config) -> Path:
    """Trains from the newest checkpoint of the run, or from the start.

    What can be wrong with the settings is found before a file is written or a program
    compiled.

    Returns:
      The run directory.

    Raises:
      UserError: If the settings do not fit the run that is resumed, the devices or the
        data. `loop.train` raises others, and Preempted.
    """
    if config.workdir is None:
        raise UserError("workdir must name the run directory, but is None")
    workdir = Path(config.workdir)
    start = distributed.told_by_first(checkpoints.newest_step(workdir))
    pretrained = None
    if start:
        check_resumable(config, checkpoints.run_settings(workdir, start), workdir)
    elif config.initialize:
        path = Path(config.initialize)
        pretrained = pretrained_parameters(path, config.codec)
    if start >= config.steps:
        if distributed.is_first():
            print(f"{workdir} holds {start} of {config.steps} steps: nothing to train")
        return workdir
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(mesh, config.data.batch_size, config.step.micro_batches)
    sharding.check_members(mesh, len(config.members))
    source = sources.training_source(config.data)
    run = loop.Run(
        recipe=config.recipe,
        members=config.members,
        cadence=config.cadence,
        batch_size=config.data.batch_size,
        mesh=mesh,
        held_out=pipeline.held_out_crops(config.data),
        provenance=Provenance(config=serialization.to_json(config)),
    )
    with contextlib.ExitStack() as stack:
        saved = stack.enter_context(open_checkpoints(run, workdir))
        runtime.cache_programs(workdir / "programs")
        if start:
            start, state = saved.restore_newest(abstract_state(run))
        else:
            state = initial_state(run, pretrained)
        rows = sharding.local_rows(run.mesh, run.batch_size)
        batches = pipeline.batches(source, config.data, start=start, rows=rows)
        stack.callback(batches.close)
        log = stack.enter_context(open_log(run, workdir, start))
        log.say(introduction(run, workdir, start, state, images=len(source)))
        loop.train(run, state, batches, saved, log)
    return workdir


def check_resumable(config: Config, saved: Any, workdir: Path) -> None:
    """Refuses to go on with a run under settings that would make it another run.

    Args:
      config: Settings now.
      saved: Settings of the newest checkpoint, as JSON.
      workdir: The run directory, for messages.

    Raises:
      UserError: If a field differs that may not.
    """
    before = serialization.to_json(serialization.from_json(Config, saved, str(workdir)))
    changed = serialization.differences(before, serialization.to_json(config))
    for path, (old, new) in changed.items():
        if not MAY_CHANGE & {path[:1], path}:
            raise UserError(
                f"{workdir} holds a run with {'.'.join(path).replace('_', '-')} {old}, "
                f"not {new}: choose another --workdir, or that value"
            )


def pretrained_parameters(path: Path, wanted: CodecSettings) -> Parameters:
    """Parameters of the run or model folder that the config starts from.

    Raises:
      UserError: If they cannot be read, or are not those of the codec to train.
    """
    model = run_directory.load(path)
    changed = serialization.differences(
        serialization.to_json(model.config), serialization.to_json(wanted)
    )
    for field, (theirs, ours) in changed.items():
        name = ".".join(("codec", *field)).replace("_", "-")
        raise UserError(
            f"initialize: {path} has {name} {theirs}, but the config has {ours}"
        )
    return model.device_parameters


def initial_state(run: loop.Run, pretrained: Parameters | None) -> TrainState:
    """The state before the first step, of all members, on the devices."""
    parameters = [
        pretrained or codec.initialize(run.recipe.codec, member.keys[0])
        for member in run.members
    ]
    states = sweep.initial_states(run.recipe, parameters)
    return sharding.place_state(states, run.mesh, members=True)


def abstract_state(run: loop.Run) -> TrainState:
    """Shapes and places of the train state, without its values."""

    def states() -> TrainState:
        parameters = codec.initialize(run.recipe.codec, jax.random.key(0))
        state = steps.initial_state(run.recipe, parameters)
        return jax.tree.map(lambda x: jnp.stack([x] * len(run.members)), state)

    return sharding.place_abstract(jax.eval_shape(states), run.mesh, members=True)


def open_checkpoints(
    run: loop.Run, workdir: Path
) -> contextlib.AbstractContextManager[checkpoints.Checkpoints]:
    """Opens the checkpoints of the run."""
    return checkpoints.open_checkpoints(
        workdir, keep=run.cadence.keep, members=len(run.members)
    )


def open_log(
    run: loop.Run, workdir: Path, start: int
) -> contextlib.AbstractContextManager[Log]:
    """Opens the log of the run, which one process writes."""
    if not distributed.is_first():
        return contextlib.nullcontext(Log())
    return Logs(
        workdir,
        start=start,
        steps=run.recipe.steps,
        batch_size=run.batch_size,
        members=len(run.members),
    )


def introduction(
    run: loop.Run, workdir: Path, start: int, state: TrainState, *, images: int
) -> str:
    """Returns a line that says what is about to happen."""
    members = len(run.members)
    parameters = sum(array.size for array in state.parameters.values()) // members
    shared = f" for each of {members} members" if members > 1 else ""
    return (
        f"{'Going on from' if start else 'Starting at'} step {start} of "
        f"{run.recipe.steps} in {workdir}: {parameters:,} parameters{shared}, "
        f"{images} images, {jax.device_count()} {jax.default_backend()} device(s); "
        "compiling first"
    )
