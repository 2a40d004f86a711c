"""Where photographs come from, and the settings that say so."""

import dataclasses
from pathlib import Path

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxcorr import serialization
from jaxcorr.data import built_in, folder, tfds_reader
from jaxcorr.data.skip_unusable import SkipUnusable
from jaxcorr.errors import require

ImageSource = RandomAccessDataSource[np.ndarray]
"""Random access to 8-bit RGB images: `len(source)`, `source[index]` of `[h w 3]`."""

GRAMMAR = "builtin, folder:DIR or tfds:NAME"


@serialization.stored("Data")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Photographs to train on, and how they are cut into batches."""

    source: str = "builtin"
    """Training images: `builtin`, `folder:DIR` (recursive) or `tfds:NAME`."""
    split: str = "train"
    """Split of a TFDS data set to train on, such as `train[:99%]`."""
    directory: str | None = None
    """Where TFDS data sets are prepared; None for TFDS's own default."""
    feature: str | None = None
    """Image feature of a TFDS data set; needed only where it has several."""
    batch_size: int = 16
    """Crops per step, over all devices."""
    crop_size: int = 256
    """Side of a crop, in pixels; a multiple of 64. Smaller images are not used."""
    flip: bool = True
    """Mirror every other crop, at random, left to right."""
    seed: int = 0
    """Seed of the order, the crops and the flips."""
    workers: int = 0
    """Processes that read images; 0 reads in threads of this one."""
    held_out: str = "builtin"
    """Images to evaluate on while training; in the form of `source`."""
    held_out_split: str = "validation"
    """Split of a TFDS data set to evaluate on."""
    held_out_crops: int = 16
    """Crops to evaluate on."""

    def __post_init__(self):
        """Checks the sources and the numbers, before any work."""
        for name in ("source", "held_out"):
            require(self, name, GRAMMAR, _is_source(getattr(self, name)))
        whole = self.crop_size >= 64 and self.crop_size % 64 == 0
        require(self, "crop_size", "a multiple of 64", whole)
        require(self, "seed", "in [0, 2**32)", 0 <= self.seed < 2**32)
        for name, least in {"batch_size": 1, "held_out_crops": 1, "workers": 0}.items():
            require(self, name, f"at least {least}", getattr(self, name) >= least)


def training_source(data: DataConfig) -> ImageSource:
    """Opens the images to train on.

    None is smaller than a crop. An image that turns out not to be usable is replaced
    by the next one that is (see `usable.Usable`).

    Raises:
      UserError: If there is no such source or nothing in it can be used.
    """
    return _open(data, "source", data.source, data.split, built_in.TRAINING)


def held_out_source(data: DataConfig) -> ImageSource:
    """Opens the images to evaluate on while training; as `training_source`."""
    return _open(
        data, "held-out", data.held_out, data.held_out_split, built_in.HELD_OUT
    )


def _open(
    data: DataConfig, field: str, source: str, split: str, photographs: tuple[str, ...]
) -> ImageSource:
    kind, argument = _split(source)
    if kind == "folder":
        opened = folder.open_folder(Path(argument), crop_size=data.crop_size)
    elif kind == "tfds":
        opened = tfds_reader.TFDSReader(
            argument, split=split, directory=data.directory, feature=data.feature
        )
    else:
        return built_in.BuiltInPhotographs(photographs, crop_size=data.crop_size)
    return SkipUnusable(opened, crop_size=data.crop_size, name=f"data.{field} {source}")


def _split(source: str) -> tuple[str, str]:
    """Returns the kind of a source, and the folder or name behind the colon."""
    kind, _, argument = source.partition(":")
    return kind, argument


def _is_source(source: str) -> bool:
    kind, argument = _split(source)
    return source == "builtin" or (kind in {"folder", "tfds"} and argument != "")
