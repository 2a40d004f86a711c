"""Measures whole images with the models of a run, without coding them to files."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import records
from jaxtyping import Array, Float, UInt8

import jaxcorr
from jaxcorr import correlation
from jaxcorr.codec import Parameters
from jaxcorr.config import TrainConfig
from jaxcorr.data import folder
from jaxcorr.training import evaluation
from jaxcorr.training.held_out import CanvasBatch, batch_by_canvas
from jaxcorr.training.loss import LossConfig, LossWeights
from jaxcorr.training.step import StaticConfig

WINDOW = 7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """An image that a model was measured on.

    Attributes:
      weight: α of the model, in the unit of its arm.
      image: Number of the image, in the order of the names of the files.
      bpp_y: Bits of the latents per pixel, under the entropy model.
      bpp_z: Bits of the side information per pixel.
      mse: Mean squared error of the decoded 8-bit image, on the 0-255 scale.
      correlation: Correlation loss of the image.
      centered: Correlation loss without the offset of each channel.
      normalized_square: Mean of the squared normalized latents.
    """

    weight: float
    image: int
    bpp_y: float
    bpp_z: float
    mse: float
    correlation: float
    centered: float
    normalized_square: float


def write(table: Path, run: TrainConfig, images: Path) -> None:
    """Measures a folder of images with every model of a run, and writes a table."""
    batches = read_batches(images)
    rows = []
    for number, member in enumerate(run.members):
        model = jaxcorr.load(Path(str(run.workdir)) / "models" / str(number))
        weight = float(member.correlation_weight)
        rows += measure(model.device_parameters, run, batches, weight)
    records.write(table, rows)


def read(table: Path) -> list[Row]:
    """Reads a table."""
    return records.read(table, Row)


@functools.cache
def read_batches(images: Path) -> list[CanvasBatch]:
    """Returns each image of a folder on its canvas, in the order of the names."""
    source = folder.open_folder(images, crop_size=1)
    return [
        *itertools.chain.from_iterable(
            batch_by_canvas([source[number]], devices=1)
            for number in range(len(source))
        )
    ]


def measure(
    parameters: Parameters,
    run: TrainConfig,
    batches: list[CanvasBatch],
    weight: float,
) -> Iterator[Row]:
    """Measures images with one model.

    One program serves all arms of a codec, whose losses make no difference here.
    """
    static_config = dataclasses.replace(
        run.static_config, loss=LossConfig(window=WINDOW), steps=1, period=None
    )
    for number, batch in enumerate(batches):
        # On accelerators, the default rounds the factors of products to fewer bits.
        with jax.default_matmul_precision("highest"):
            values = compiled(
                parameters,
                (jnp.asarray(batch.images), jnp.asarray(batch.sizes)),
                static_config=static_config,
            )
        values = {name: array[0] for name, array in jax.device_get(values).items()}
        yield row_of(values, weight, number)


@functools.partial(jax.jit, static_argnames="static_config")
def compiled(
    parameters: Parameters,
    batch: tuple[UInt8[Array, "b H W 3"], Array],
    *,
    static_config: StaticConfig,
) -> dict[str, Float[Array, "b ..."]]:
    """Runs the evaluation of training on whole images."""
    return evaluation.whole_image_step(
        parameters,
        batch,
        LossWeights(distortion_weight=0.0, correlation_weight=0.0),
        static_config=static_config,
    )


def row_of(values: dict[str, np.ndarray], weight: float, number: int) -> Row:
    """Returns the row of an image."""
    mask = np.asarray(correlation.named_mask("point", WINDOW))

    def loss(name: str) -> float:
        pooled = values[name].astype(np.float64).mean(axis=0) / values["windows"]
        return round(float(np.sum((mask * pooled) ** 2)), 6)

    return Row(
        weight=weight,
        image=number,
        bpp_y=round(float(values["bpp_y"]), 6),
        bpp_z=round(float(values["bpp_z"]), 6),
        mse=round(float(values["mse"]), 5),
        correlation=loss("products"),
        centered=loss("without_offsets"),
        normalized_square=round(float(values["squares"] / values["latents"]), 5),
    )
