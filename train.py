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
from jaxcorr.config import Config
from jaxcorr.data import built_in, pipeline, sources
from jaxcorr.errors import UserError
from jaxcorr.evaluation import showcase
from jaxcorr.training import loop
from jaxcorr.training import mesh as meshes
from jaxcorr.training.checkpoints import Checkpoints, open_checkpoints
from jaxcorr.training.logs import Logs
from jaxcorr.training.step import Recipe, TrainState, initial_state


def main(arguments: list[str]) -> None:
    """Reads the settings, trains, and codes photographs that were not trained on."""
    with errors.told_in_one_line():
        config = configs.parse(arguments, program="python train.py")
        workdir = Path(str(config.workdir))
        try:
            run(config, workdir)
        except loop.Preempted as stop:
            print(f"{stop}; the same command goes on from there.")
            return
        shown = workdir / "held_out"
        model = model_folder.load(workdir)
        table = showcase.show(model, built_in.held_out_paths(), shown)
        print(f"\nPhotographs that were not trained on, through real files:\n\n{table}")
        print(f"\nThe files, and comparison.png, are in {shown}")


def run(config: Config, workdir: Path) -> None:
    """Trains from the newest checkpoint in `workdir`, or from the start."""
    meshes.check_batch(config.data.batch_size, config.step.micro_batches)
    source = sources.training_source(config.data)
    held_out = pipeline.held_out_crops(config.data)
    recipe, mesh = config.recipe, meshes.data_mesh()
    initial_key, noise_key = jax.random.split(jax.random.key(config.seed))
    initial = None
    if config.initialize is not None:
        initial = pretrained(config.initialize, config.codec)

    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(
            open_checkpoints(workdir, keep=config.cadence.keep)
        )
        start = checkpoints.newest or 0
        if start:
            saved = checkpoints.run_settings(start)
            configs.check_resumable(config, saved, workdir)
        meshes.cache_programs(workdir)
        if start:
            state = restored(checkpoints, start, recipe, mesh)
        else:
            if initial is None:
                initial = codec.initialize(config.codec, initial_key)
            state = meshes.replicate(initial_state(recipe, initial), mesh)

        batches = pipeline.batches(
            source,
            config.data,
            start=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        stack.callback(batches.close)
        logs = Logs(
            workdir, start=start, steps=config.steps, batch_size=config.data.batch_size
        )
        stack.enter_context(logs)
        parameters = sum(array.size for array in state.parameters.values())
        logs.say(
            f"{'Going on from' if start else 'Starting at'} step {start} of "
            f"{config.steps}: {parameters:,} parameters, {len(source)} images, "
            f"{jax.device_count()} {jax.devices()[0].platform} device(s), in {workdir}"
        )
        about = {"run": settings.to_json(config)}
        loop.train(
            loop.Run(
                recipe=recipe,
                cadence=config.cadence,
                key=noise_key,
                mesh=mesh,
                held_out=held_out,
                about=about,
            ),
            state,
            batches,
            checkpoints,
            logs,
        )


def pretrained(path: str, expected: codec.CodecSettings) -> codec.Parameters:
    """Parameters of a run or model folder, if they are those of such a codec."""
    model = model_folder.load(path)
    if model.settings != expected:
        raise UserError(
            f"initialize: {path} holds {model.settings}, but the config trains "
            f"{expected}"
        )
    return model.device_parameters


def restored(
    checkpoints: Checkpoints, step: int, recipe: Recipe, mesh: jax.sharding.Mesh
) -> TrainState:
    """The train state of a checkpoint, on the devices of this run."""
    abstract = jax.eval_shape(
        lambda: initial_state(recipe, codec.initialize(recipe.codec, jax.random.key(0)))
    )
    return checkpoints.restore(step, meshes.place_abstract(abstract, mesh))


if __name__ == "__main__":
    main(sys.argv[1:])
