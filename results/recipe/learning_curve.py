"""Learning curves of jaxcorr and CompressAI on the same crops, step by step.

    python results/recipe/learning_curve.py --photographs BSDS --held-out VAL \
        --compressai PYTHON

trains the mean-scale hyperprior of `ablation.py` and CompressAI's of the same
widths with the same λ, crops, order of crops, learning rates and clipping, without an
average of the parameters. Every 1000 steps both are evaluated on whole images by the
same code: CompressAI's weights are imported. Prints bpp + λ MSE, and keeps it as
`learning_curve.csv`. Initial parameters and noise are each framework's own.
"""

import csv
import dataclasses
import itertools
import json
import subprocess
from pathlib import Path

import ablation
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxcorr import config, train_states, trainer
from jaxcorr.config import TrainConfig
from jaxcorr.data import folder, pipeline, sources
from jaxcorr.interop import compressai
from jaxcorr.model import Model
from jaxcorr.transforms.minnen import Minnen

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "learning_curve.csv"
EVERY = 1000
COLUMNS = ("step", "jaxcorr", "compressai")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(ablation.Folders):
    """Folders, and the Python of the other framework."""

    compressai: Path
    """Python of an environment with CompressAI 1.2.8."""
    steps: int = 5000
    """Length of both trainings."""
    threads: int = 1
    """Threads of CompressAI; jaxcorr takes the cores that the process may use."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """Settings of CompressAI's training.

    Attributes:
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batch: Crops in a step.
      crop: Side of a crop, in pixels.
      distortion_weight: λ.
      gradient_clip: Maximum norm of the gradient.
      learning_rates: Learning rate of every step.
      save_every: Steps between two state dicts.
      folder: Folder for the state dicts.
      seed: Seed of the initial parameters and the noise.
      threads: Number of threads.
    """

    width: int
    channels: int
    batch: int
    crop: int
    distortion_weight: float
    gradient_clip: float
    learning_rates: list[float]
    save_every: int
    folder: str
    seed: int = 0
    threads: int = 1


def main(settings: Settings) -> None:
    """Trains both where that is not done yet, evaluates them and prints a table."""
    run = make_config(settings)
    states = settings.runs / "compressai"
    steps = range(EVERY, settings.steps + 1, EVERY)
    if not (states / f"{settings.steps}.pth.tar").is_file():
        states.mkdir(parents=True, exist_ok=True)
        train_compressai(run, states, settings)
    workdir = trainer.train(run)
    source = folder.open_folder(settings.held_out, crop_size=1)
    images = [source[number] for number in range(len(source))]
    weight = run.members[0].distortion_weight
    rows = []
    for step in steps:
        ours = train_states.raw_model(workdir, checkpoint=str(step))
        state = compressai.read_state(states / f"{step}.pth.tar")
        theirs = compressai.convert(state, "mbt2018-mean")
        costs = [mean_cost(model, images, weight) for model in (ours, theirs)]
        rows.append((step, *(round(cost, 5) for cost in costs)))
        print(f"step {step}: jaxcorr {costs[0]:.4f}, CompressAI {costs[1]:.4f}")
    with TABLE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def make_config(settings: Settings) -> TrainConfig:
    """Returns the settings of jaxcorr's training."""
    count = settings.steps // EVERY
    return config.with_changes(
        ablation.base(settings),
        {
            "steps": settings.steps,
            "workdir": str(settings.runs / "learning_curve"),
            "optimizer": {"ema_decay": 0.0},
            "intervals": {
                "eval_every": settings.steps,
                "checkpoint_every": EVERY,
                "max_to_keep": count,
            },
        },
    )


def train_compressai(run: TrainConfig, states: Path, settings: Settings) -> None:
    """Trains CompressAI's model on the crops that a run would see."""
    assert isinstance(run.codec.transforms, Minnen)
    rates = jax.vmap(run.static_config.learning_rate)(jnp.arange(run.steps))
    peer = Peer(
        width=run.codec.transforms.width,
        channels=run.codec.transforms.channels,
        batch=run.data.batch_size,
        crop=run.data.crop_size,
        distortion_weight=float(run.members[0].distortion_weight),
        gradient_clip=run.optimizer.gradient_clip,
        learning_rates=np.asarray(rates).tolist(),
        save_every=EVERY,
        folder=str(states.resolve()),
        threads=settings.threads,
    )
    options = json.dumps(dataclasses.asdict(peer))
    command = [settings.compressai, FOLDER / "compressai_curve.py", options]
    batches = pipeline.batches(sources.training_source(run.data), run.data)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for batch in itertools.islice(batches, run.steps):
            process.stdin.write(batch.tobytes())
        process.stdin.close()
    batches.close()
    if process.returncode:
        raise SystemExit(f"{command[1]} failed with status {process.returncode}")


def mean_cost(model: Model, images: list[np.ndarray], weight: float) -> float:
    """Returns the mean of bpp + λ MSE over whole images, with rounded latents."""
    costs = []
    for image, output in zip(images, model.analyze(images), strict=True):
        pixels = image.shape[0] * image.shape[1]
        bits = float(output.latent_bits.sum() + output.side_bits.sum())
        error = 255 * np.asarray(output.reconstruction) - image
        costs.append(bits / pixels + weight * np.mean(error**2))
    return float(np.mean(costs))


if __name__ == "__main__":
    main(tyro.cli(Settings))
