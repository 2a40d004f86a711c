"""Commands that train, and that prepare what is trained on."""

from pathlib import Path
from typing import Annotated

import tyro


def train(
    arguments: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="CONFIG [--SETTING VALUE]…",
            help="Config, such as quickstart, and what is changed in it.",
            help_behavior_hint="",
        ),
    ],
) -> None:
    """Trains a codec, or goes on where an earlier start was stopped.

    At the end it codes photographs that were not trained on.
    """
    # They bring Orbax, Grain and Optax, which no other command needs.
    from jaxcorr import config_files, trainer
    from jaxcorr.training import distributed, loop

    config = config_files.parse_config(arguments, program="jaxcorr train")
    distributed.initialize(config.distributed)
    try:
        workdir = trainer.train(config)
        if distributed.is_first_process():
            _show(workdir)
    except loop.Preempted as stop:
        if distributed.is_first_process():
            print(f"{stop}; the same command goes on from there.")
    distributed.shutdown()


def prepare(
    directory: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="DIR", help="Folder of images, searched recursively."),
    ],
    data_dir: Annotated[
        Path, tyro.conf.arg(metavar="DIR", help="Folder of TFDS data sets to write to.")
    ],
    name: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME", help="Of the data set: letters, digits, underscores."
        ),
    ],
) -> None:
    """Prepares a folder of images as a TFDS data set to train on."""
    from jaxcorr.data import tfds_writer  # Brings TFDS.

    print(tfds_writer.prepare(directory, data_dir=data_dir, name=name))


def _show(workdir: Path) -> None:
    """Codes photographs with the best checkpoints, and prints what came out."""
    from jaxcorr import run_directory
    from jaxcorr.data import built_in
    from jaxcorr.visualization import samples

    print("\nPhotographs that were not trained on, through real files:")
    models = run_directory.model_paths(workdir)
    for path in models:
        model, directory = run_directory.load(path), workdir / "held_out"
        if len(models) > 1:
            print(f"\n{path}: {model.provenance.describe()}")
            directory /= f"member_{path.rpartition('@')[2]}"
        print(f"\n{samples.write_samples(model, built_in.held_out_paths(), directory)}")
    print(f"\nThe files, and comparison.png, are in {workdir / 'held_out'}")
