"""Commands that train a codec and prepare training images."""

from pathlib import Path
from typing import Annotated

import tyro


def train(
    arguments: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="CONFIG [--SETTING VALUE]…",
            help="Config, such as quickstart, and settings to change in it.",
            help_behavior_hint="",
        ),
    ],
) -> None:
    """Trains a codec, or resumes a run that was stopped.

    At the end, the codec compresses photographs that it was not trained on.
    """
    # These import Orbax, Grain and Optax, which no other command needs.
    from jaxcorr import config_files, trainer
    from jaxcorr.training import distributed, loop

    config = config_files.parse_config(arguments, program="jaxcorr train")
    distributed.initialize(config.distributed)
    try:
        workdir = trainer.train(config)
        if distributed.is_first_process():
            _write_samples(workdir)
    except loop.Preempted as stop:
        if distributed.is_first_process():
            print(f"{stop}; the same command resumes the run.")
    distributed.shutdown()


def prepare(
    directory: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="DIR", help="Folder of images, searched recursively."),
    ],
    data_dir: Annotated[
        Path,
        tyro.conf.arg(
            metavar="DIR", help="Folder of TFDS data sets to write the data set to."
        ),
    ],
    name: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME",
            help="Name of the data set, of letters, digits and underscores.",
        ),
    ],
) -> None:
    """Writes a folder of images as a TFDS data set to train on."""
    from jaxcorr.data import tfds_writer  # Imports TFDS.

    print(tfds_writer.prepare(directory, data_dir=data_dir, name=name))


def _write_samples(workdir: Path) -> None:
    """Codes photographs with the best checkpoints, and prints the measurements."""
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
