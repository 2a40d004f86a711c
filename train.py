"""Trains a codec, or goes on where an earlier start was stopped, and shows the result.

python train.py configs/quickstart.py
python train.py configs/quickstart.py --help
"""

import contextlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxcorr import codec, errors, memory, run_folder, settings
from jaxcorr import config as configs
from jaxcorr.codec import CodecSettings, Parameters
from jaxcorr.config import Config
from jaxcorr.data import built_in, pipeline, sources
from jaxcorr.errors import UserError
from jaxcorr.evaluation import showcase
from jaxcorr.provenance import Provenance
from jaxcorr.training import checkpoints, loop, processes, sweep
from jaxcorr.training import mesh as meshes
from jaxcorr.training import step as steps
from jaxcorr.training.logs import Log, Logs
from jaxcorr.training.step import TrainState


def main(arguments: list[str]) -> None:
    """Reads the settings, trains, and codes photographs that were not trained on."""
    memory.keep_freed()
    with errors.told_in_one_line():
        config = configs.parse(arguments, program="python train.py")
        workdir = Path(str(config.workdir))
        processes.join(config.processes)
        try:
            train(config, workdir)
            if processes.is_first():
                show(workdir)
        except loop.Preempted as stop:
            if processes.is_first():
                print(f"{stop}; the same command goes on from there.")
        processes.leave()


def train(config: Config, workdir: Path) -> None:
    """Trains from the newest checkpoint in `workdir`, or from the start.

    What can be wrong with the settings is found before a file is written or a program
    compiled.
    """
    start = processes.told_by_first(checkpoints.newest_step(workdir))
    if start:
        before = checkpoints.run_settings(workdir, start)
        configs.check_resumable(config, before, workdir)
    if start >= config.steps:
        if processes.is_first():
            print(f"{workdir} holds {start} of {config.steps} steps: nothing to train")
        return
    mesh = meshes.make_mesh(config.mesh)
    meshes.check_batch(mesh, config.data.batch_size, config.step.micro_batches)
    meshes.check_members(mesh, len(config.members))
    source = sources.training_source(config.data)
    pretrained = None
    if not start and config.initialize:
        pretrained = pretrained_parameters(config.initialize, config.codec)
    run = loop.Run(
        recipe=config.recipe,
        members=config.members,
        cadence=config.cadence,
        batch_size=config.data.batch_size,
        mesh=mesh,
        held_out=pipeline.held_out_crops(config.data),
        provenance=Provenance(config=settings.to_json(config)),
    )

    with contextlib.ExitStack() as stack:
        saved = stack.enter_context(
            checkpoints.open_checkpoints(
                workdir, keep=config.cadence.keep, members=len(run.members)
            )
        )
        meshes.cache_programs(workdir)
        if start:
            start, state = saved.restore_newest(abstract_state(run))
        else:
            state = initial_state(run, pretrained)
        rows = meshes.local_rows(mesh, run.batch_size)
        batches = pipeline.batches(source, config.data, start=start, rows=rows)
        stack.callback(batches.close)
        log = stack.enter_context(open_log(config, start))
        log.say(introduction(config, start, state, images=len(source)))
        loop.train(run, state, batches, saved, log)


def initial_state(run: loop.Run, pretrained: Parameters | None) -> TrainState:
    """The state before the first step, of all members, on the devices."""
    parameters = [
        pretrained or codec.initialize(run.recipe.codec, member.keys[0])
        for member in run.members
    ]
    states = sweep.initial_states(run.recipe, parameters)
    return meshes.place_state(states, run.mesh, members=True)


def abstract_state(run: loop.Run) -> TrainState:
    """Shapes and places of the train state, without its values."""

    def states() -> TrainState:
        parameters = codec.initialize(run.recipe.codec, jax.random.key(0))
        state = steps.initial_state(run.recipe, parameters)
        return jax.tree.map(lambda x: jnp.stack([x] * len(run.members)), state)

    return meshes.place_abstract(jax.eval_shape(states), run.mesh, members=True)


def open_log(config: Config, start: int) -> contextlib.AbstractContextManager[Log]:
    """The log of the run, which one process writes."""
    if not processes.is_first():
        return contextlib.nullcontext(Log())
    return Logs(
        Path(str(config.workdir)),
        start=start,
        steps=config.steps,
        batch_size=config.data.batch_size,
        members=len(config.members),
    )


def introduction(config: Config, start: int, state: TrainState, *, images: int) -> str:
    """What is about to happen, in a line."""
    members = len(config.members)
    parameters = sum(array.size for array in state.parameters.values()) // members
    shared = f" for each of {members} members" if members > 1 else ""
    return (
        f"{'Going on from' if start else 'Starting at'} step {start} of {config.steps} "
        f"in {config.workdir}: {parameters:,} parameters{shared}, {images} images, "
        f"{jax.device_count()} {jax.default_backend()} device(s); compiling first"
    )


def show(workdir: Path) -> None:
    """Codes photographs with the best checkpoints, and prints what came out."""
    print("\nPhotographs that were not trained on, through real files:")
    models = run_folder.paths_of_models(workdir)
    for path in models:
        model, directory = run_folder.load(path), workdir / "held_out"
        if len(models) > 1:
            print(f"\n{path}: {model.provenance.describe()}")
            directory /= f"member_{path.rpartition('@')[2]}"
        print(f"\n{showcase.show(model, built_in.held_out_paths(), directory)}")
    print(f"\nThe files, and comparison.png, are in {workdir / 'held_out'}")


def pretrained_parameters(path: str, wanted: CodecSettings) -> Parameters:
    """Parameters of the run or model folder that the config starts from.

    Raises:
      UserError: If they cannot be read, or are not those of the codec to train.
    """
    model = run_folder.load(path)
    changed = settings.differences(
        settings.to_json(model.settings), settings.to_json(wanted)
    )
    for field, (theirs, ours) in changed.items():
        name = ".".join(("codec", *field)).replace("_", "-")
        raise UserError(
            f"initialize: {path} has {name} {theirs}, but the config has {ours}"
        )
    return model.device_parameters


if __name__ == "__main__":
    main(sys.argv[1:])
