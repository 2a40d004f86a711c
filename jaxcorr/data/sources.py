"""Where photographs come from, and the settings that say so."""

import dataclasses
from pathlib import Path

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxcorr import serialization
from jaxcorr.data import built_in, folder, tfds_reader
from jaxcorr.data.skip_unusable import Usable
from jaxcorr.errors import UserError

Source = RandomAccessDataSource[np.ndarray]
"""Random access to 8-bit RGB images: `len(source)`, `source[index]` of `[h w 3]`."""

GRAMMAR = "builtin, folder:DIR or tfds:NAME"


@serialization.stored("Data")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
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
        """Refuses what no run could use, before any work."""
        _parse("source", self.source)
        _parse("held-out", self.held_out)
        if self.crop_size < 64 or self.crop_size % 64:
            raise UserError(
                f"data.crop-size must be a multiple of 64, but is {self.crop_size}"
            )
        if not 0 <= self.seed < 2**32:
            raise UserError(f"data.seed must be in [0, 2**32), but is {self.seed}")
        for name, least in {"batch_size": 1, "held_out_crops": 1, "workers": 0}.items():
            if getattr(self, name) < least:
                flag = f"data.{name.replace('_', '-')}"
                raise UserError(
                    f"{flag} must be at least {least}, but is {getattr(self, name)}"
                )


def training_source(data: Data) -> Source:
    """Opens the images to train on.

    None is smaller than a crop. An image that turns out not to be usable is replaced
    by the next one that is (see `usable.Usable`).

    Raises:
      UserError: If there is no such source or nothing in it can be used.
    """
    return _open(data, "source", data.source, data.split, built_in.TRAINING)


def held_out_source(data: Data) -> Source:
    """Opens the images to evaluate on while training; as `training_source`."""
    return _open(
        data, "held-out", data.held_out, data.held_out_split, built_in.HELD_OUT
    )


def _open(
    data: Data, field: str, source: str, split: str, photographs: tuple[str, ...]
) -> Source:
    kind, argument = _parse(field, source)
    if kind == "folder":
        opened = folder.open_folder(Path(argument), crop_size=data.crop_size)
    elif kind == "tfds":
        opened = tfds_reader.Prepared(
            argument, split=split, directory=data.directory, feature=data.feature
        )
    else:
        return built_in.BuiltIn(photographs, crop_size=data.crop_size)
    return Usable(opened, crop_size=data.crop_size, name=f"data.{field} {source}")


def _parse(field: str, source: str) -> tuple[str, str]:
    """Splits a source into its kind and the folder or name behind the colon."""
    kind, _, argument = source.partition(":")
    if source != "builtin" and not (kind in {"folder", "tfds"} and argument):
        raise UserError(f"data.{field} must be {GRAMMAR}, but is {source!r}")
    return kind, argument
