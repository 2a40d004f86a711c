"""Trains a codec, or goes on where an earlier start was stopped, and shows the result.

python train.py configs/quickstart.py
python train.py configs/quickstart.py --help
"""

import contextlib
import sys
from pathlib import Path

import jax

from jaxcorr import codec, errors, model_folder, settings
from jaxcorr import config as configs
from jaxcorr.codec import Parameters
from jaxcorr.config import Config
from jaxcorr.data import built_in, pipeline, sources
from jaxcorr.errors import UserError
from jaxcorr.evaluation import showcase
from jaxcorr.training import checkpoints, loop
from jaxcorr.training import mesh as meshes
from jaxcorr.training.logs import Logs
from jaxcorr.training.step import TrainState, initial_state


def main(arguments: list[str]) -> None:
    """Reads the settings, trains, and codes photographs that were not trained on."""
    with errors.told_in_one_line():
        config = configs.parse(arguments, program="python train.py")
        workdir = Path(str(config.workdir))
        try:
            train(config, workdir)
            show(workdir)
        except loop.Preempted as stop:
            print(f"{stop}; the same command goes on from there.")


def train(config: Config, workdir: Path) -> None:
    """Trains from the newest checkpoint in `workdir`, or from the start.

    What can be wrong with the settings is found before a file is written or a program
    compiled.
    """
    start = checkpoints.newest_step(workdir)
    if start:
        before = checkpoints.run_settings(workdir, start)
        configs.check_resumable(config, before, workdir)
    if start >= config.steps:
        print(f"{workdir} holds {start} of {config.steps} steps: nothing to train")
        return
    mesh = meshes.make_mesh(config.mesh)
    meshes.check_batch(mesh, config.data.batch_size, config.step.micro_batches)
    source = sources.training_source(config.data)
    initial_key, noise_key = jax.random.split(jax.random.key(config.seed))
    initial = pretrained_parameters(config) if not start and config.initialize else None
    run = loop.Run(
        recipe=config.recipe,
        cadence=config.cadence,
        key=noise_key,
        mesh=mesh,
        held_out=pipeline.held_out_crops(config.data),
        about={"run": settings.to_json(config)},
    )

    with contextlib.ExitStack() as stack:
        keep, batch_size = config.cadence.keep, config.data.batch_size
        saved = stack.enter_context(checkpoints.open_checkpoints(workdir, keep=keep))
        meshes.cache_programs(workdir)
        if start:
            state = saved.restore(start, abstract_state(run))
        else:
            parameters = initial or codec.initialize(config.codec, initial_key)
            state = initial_state(run.recipe, parameters)
            state = meshes.place_state(state, mesh)
        batches = pipeline.batches(
            source,
            config.data,
            start=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        stack.callback(batches.close)
        logs = Logs(workdir, start=start, steps=config.steps, batch_size=batch_size)
        stack.enter_context(logs)
        logs.say(introduction(config, start, state, images=len(source)))
        loop.train(run, state, batches, saved, logs)


def introduction(config: Config, start: int, state: TrainState, *, images: int) -> str:
    """What is about to happen, in a line."""
    parameters = sum(array.size for array in state.parameters.values())
    return (
        f"{'Going on from' if start else 'Starting at'} step {start} of {config.steps} "
        f"in {config.workdir}: {parameters:,} parameters, {images} images, "
        f"{jax.device_count()} {jax.default_backend()} device(s); compiling first"
    )


def show(workdir: Path) -> None:
    """Codes photographs with the best checkpoint, and prints what came out."""
    directory = workdir / "held_out"
    table = showcase.show(
        model_folder.load(workdir), built_in.held_out_paths(), directory
    )
    print(f"\nPhotographs that were not trained on, through real files:\n\n{table}")
    print(f"\nThe files, and comparison.png, are in {directory}")


def pretrained_parameters(config: Config) -> Parameters:
    """Parameters of the run or model folder that the config starts from.

    Raises:
      UserError: If they cannot be read, or are not those of the codec to train.
    """
    model = model_folder.load(str(config.initialize))
    changed = settings.differences(
        settings.to_json(model.settings), settings.to_json(config.codec)
    )
    for path, (theirs, ours) in changed.items():
        name = ".".join(("codec", *path)).replace("_", "-")
        raise UserError(
            f"initialize: {config.initialize} has {name} {theirs}, "
            f"but the config has {ours}"
        )
    return model.device_parameters


def abstract_state(run: loop.Run) -> TrainState:
    """Shapes and places of the train state, without its values."""
    key = jax.random.key(0)
    initial = lambda: initial_state(run.recipe, codec.initialize(run.recipe.codec, key))
    return meshes.place_abstract(jax.eval_shape(initial), run.mesh)


if __name__ == "__main__":
    main(sys.argv[1:])
