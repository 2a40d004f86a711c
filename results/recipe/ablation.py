"""The recipe of training: changes one setting at a time, at equal numbers of pixels.

    python results/recipe/ablation.py --photographs BSDS --held-out VAL --kodak KODAK

trains a small hyperprior in every arm, and codes whole images to files. Bits and MSE of
each image are kept as CSV beside this script. An arm that has a table is not run again,
and one that was stopped resumes. `--only NAME…` runs some, for example in a process on
each core. `table.py` prints the comparison.

`--train-only` stops at the models, in `RUNS/models`, so that arms can be trained on an
accelerator and measured elsewhere. Their parameters are rounded to 16 bits.
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tyro

import jaxcorr
from jaxcorr import config, saved_model
from jaxcorr.config import TrainConfig
from jaxcorr.evaluation import csv_tables

FOLDER = Path(__file__).resolve().parent
STEPS = 5000
BASE = {
    "data": {"batch_size": 2, "crop_size": 256},
    "loss": {"window": 7},
    "stages": (),
}
"""Changes of the config `demo`, which has the best recipe, for all arms."""
SMALL_CROPS = {"data": {"batch_size": 8, "crop_size": 128}, "loss": {"window": 5}}
COLOR = {"hue": 30.0, "saturation": 0.5, "gamma": 0.5, "channel_permutation": 0.2}
DROP = {"optimizer": {"schedule": "drop"}}
SWITCH: dict[str, Any] = {
    **SMALL_CROPS,
    "stages": (jaxcorr.StageConfig(start=3500, batch_size=2, crop_size=256),),
}
SCALE: dict[str, Any] = {
    **SMALL_CROPS,
    "data": {**SMALL_CROPS["data"], "augmentation": {"scale": 0.3}},
}


def seeds(arm: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Returns an arm with two other seeds of the parameters, the noise and the crops.

    Args:
      arm: What the arm changes in the base.
      name: Prefix of the names, which end with the seed.
    """
    return {
        f"{name}seed-{seed}": {
            **arm,
            "sweep": {"seed": seed},
            "data": {**arm.get("data", {}), "seed": seed},
        }
        for seed in (1, 2)
    }


ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    **seeds({}, ""),
    "no-average": {"optimizer": {"ema_decay": 0.0}},
    "crops-128": SMALL_CROPS,
    "crops-128-256": SWITCH,
    **seeds(SWITCH, "crops-128-256-"),
    "drop": DROP,
    **seeds(DROP, "drop-"),
    "stable-decay": {"optimizer": {"schedule": "stable_decay"}},
    "rate-5e-4": {"optimizer": {"learning_rate": 5e-4}},
    "rate-2e-3": {"optimizer": {"learning_rate": 2e-3}},
    "clip-0.1": {"optimizer": {"gradient_clip": 0.1}},
    "clip-100": {"optimizer": {"gradient_clip": 100.0}},
    "color": {"data": {"augmentation": COLOR}},
    "blur": {"data": {"augmentation": {"blur": 0.3}}},
    "synthetic": {"data": {"augmentation": {"synthetic": 0.1}}},
    "scale-128": SCALE,
    **seeds(SCALE, "scale-128-"),
}
"""Name of every arm, and what it changes in the base."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folders:
    """Folders of photographs and runs."""

    photographs: Path
    """The train and test sets of BSDS500, in one folder."""
    held_out: Path
    """The validation set of BSDS500."""
    runs: Path = Path("runs/recipe")
    """Folder for the run directories."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(Folders):
    """Folders of images and runs, and the arms to run."""

    kodak: Path
    """The 24 Kodak photographs."""
    other_kinds: Path = Path("runs/other_kinds/images")
    """The images that `results/other_kinds/make.py` makes."""
    only: tuple[str, ...] = ()
    """Names of arms; all by default."""
    train_only: bool = False
    """Train the arms, and do not measure them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """An image that an arm coded.

    Attributes:
      images: Set of the image: `val`, `kodak` or `other`.
      image: Name of the image.
      bpp: Size of the file, in bits per pixel.
      mse: Mean squared error on the 0-255 scale.
    """

    images: str
    image: str
    bpp: float
    mse: float


def main(settings: Settings) -> None:
    """Runs the arms that have no table yet."""
    unknown = set(settings.only) - set(ARMS)
    if unknown:
        sys.exit(f"no arm {', '.join(unknown)}; there are {', '.join(ARMS)}")
    for name in settings.only or ARMS:
        table = FOLDER / f"{name}.csv"
        if table.is_file():
            print(f"{name}: results are in {table}")
            continue
        model = settings.runs / "models" / name
        if not model.is_dir():
            train(ARMS[name], settings, settings.runs / name, model)
        if settings.train_only:
            continue
        rows = [dataclasses.asdict(row) for row in measure(model, settings)]
        csv_tables.write_rows(table, rows)


def train(
    changes: Mapping[str, Any], settings: Settings, workdir: Path, model: Path
) -> None:
    """Trains an arm, or resumes it, and writes its last parameters as a model."""
    run = config.with_changes(base(settings), changes)
    jaxcorr.train(run, workdir=str(workdir))
    trained = jaxcorr.load(workdir, checkpoint="newest")
    saved_model.write_model(model, saved_model.round_to_half(trained))


def base(folders: Folders) -> TrainConfig:
    """Returns the settings of the arm that changes nothing."""
    data = {
        "source": f"folder:{folders.photographs}",
        "held_out": f"folder:{folders.held_out}",
        "held_out_images": 0,
    }
    # Arms are measured at their end, on whole images and real files.
    intervals = {"eval_every": STEPS}
    changes = {**BASE, "steps": STEPS, "intervals": intervals}
    run = config.with_changes(jaxcorr.load_config("demo"), changes)
    return config.with_changes(run, {"data": data})


def measure(model: Path, settings: Settings) -> Iterator[Row]:
    """Codes the images of all sets."""
    sets = {
        "val": settings.held_out,
        "kodak": settings.kodak,
        "other": settings.other_kinds,
    }
    for name, folder in sets.items():
        for image in jaxcorr.evaluate(str(folder), str(model), fast=True).images:
            yield Row(
                images=name,
                image=image.file,
                bpp=round(image.bpp, 5),
                mse=round(255**2 / 10 ** (image.psnr_db / 10), 4),
            )


if __name__ == "__main__":
    main(tyro.cli(Settings))
