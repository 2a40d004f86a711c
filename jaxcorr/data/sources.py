"""Sources of training and held-out images, and their settings."""

import dataclasses
from fractions import Fraction

from jaxcorr import paths, serialization
from jaxcorr.data import array_record_reader, built_in, folder, mixture, tfds_reader
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.mixture import Mixture
from jaxcorr.data.skip_unusable import SkipUnusable
from jaxcorr.errors import FieldError, UserError, require
from jaxcorr.paths import as_path

SOURCE_FORMS = "builtin, folder:DIR, arrayrecord:DIR or tfds:NAME"
"""Sources that hold images themselves."""


@serialization.stored("Data")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Training and held-out images, and how crops are drawn from them."""

    source: str = "builtin"
    """Training images: `builtin` (photographs of scikit-image), `folder:DIR` (searched
    recursively), `arrayrecord:DIR` (tiles of `jaxcorr prepare`), `tfds:NAME` (a data
    set of TensorFlow Datasets) or a mixture, as `mix:0.7*tfds:a+0.3*folder:b`."""
    split: str = "train"
    """Split of a TFDS data set to train on, such as `train[:99%]`."""
    directory: str | None = None
    """Folder of prepared TFDS data sets. None for the default of TFDS."""
    feature: str | None = None
    """Image feature of a TFDS data set. Required only if the data set has several."""
    batch_size: int = 16
    """Number of crops in a step, over all devices."""
    crop_size: int = 256
    """Side of a square crop, in pixels: a multiple of 64. Smaller images are
    skipped."""
    crops_per_image: int = 1
    """Crops taken from each image that is read: one for each of as many consecutive
    batches. More crops save reading, but consecutive batches are then of the same
    images."""
    flip: bool = True
    """Mirror crops left to right with probability 1/2."""
    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=AugmentationConfig
    )
    """Other random changes of crops."""
    seed: int = 0
    """Seed of the order of the images, of the positions of crops and of their random
    changes."""
    workers: int = 0
    """Number of processes that read images. 0 reads in threads of the training
    process."""
    held_out: str = "builtin"
    """Images for evaluation during training: `builtin`, `folder:DIR`, `arrayrecord:DIR`
    or `tfds:NAME`."""
    held_out_split: str = "validation"
    """Split of a TFDS data set to evaluate on."""
    held_out_images: int = 16
    """Number of whole images for evaluation, at most all. They are spread evenly over
    the held-out images, and sides above 1536 pixels are cut at the center. 0 evaluates
    on crops alone, as runs of earlier versions do."""
    held_out_crops: int = 16
    """Number of crops of these images, drawn once: for pictures, for the correlation
    of crops and, without whole images, for the whole evaluation."""

    def __post_init__(self):
        """Checks the form of the sources and the range of the numbers."""
        try:
            parts = [source for _, source in _parts(self.source)]
        except UserError as error:
            problem = f"must be {mixture.FORM}, but is {self.source!r}: {error}"
            raise FieldError(self, "source", problem) from error
        forms = f"{SOURCE_FORMS}, or {mixture.FORM} of these"
        require(self, "source", forms, all(map(_is_source, parts)))
        require(self, "held_out", SOURCE_FORMS, _is_source(self.held_out))
        is_multiple = self.crop_size >= 64 and self.crop_size % 64 == 0
        require(self, "crop_size", "a multiple of 64", is_multiple)
        require(self, "seed", "in [0, 2**32)", 0 <= self.seed < 2**32)
        at_least = {"batch_size": 1, "crops_per_image": 1, "held_out_crops": 1}
        at_least |= {"held_out_images": 0, "workers": 0}
        for name, least in at_least.items():
            require(self, name, f"at least {least}", getattr(self, name) >= least)

    def num_images(self, batches: int, *, batch_size: int) -> int:
        """Returns how many images the crops of a number of batches are taken from."""
        return -(-batches // self.crops_per_image) * batch_size


def training_source(data: DataConfig) -> ImageSource:
    """Opens the training images.

    No image is smaller than a crop. `SkipUnusable` replaces images that are damaged or
    small.

    Raises:
      UserError: If the source does not exist or no image in it is usable.
    """
    weights, sources = zip(*_parts(data.source), strict=True)
    opened = [
        _open(data, "source", source, data.split, built_in.TRAINING)
        for source in sources
    ]
    return opened[0] if len(opened) == 1 else Mixture(opened, weights)


def held_out_source(data: DataConfig) -> ImageSource:
    """Opens the images for evaluation during training, as `training_source`.

    Raises:
      UserError: As `training_source`.
    """
    return _open(
        data, "held-out", data.held_out, data.held_out_split, built_in.HELD_OUT
    )


def _open(
    data: DataConfig, field: str, source: str, split: str, photographs: tuple[str, ...]
) -> ImageSource:
    kind, argument = _split(source)
    if kind in ("folder", "arrayrecord") and not paths.is_folder(as_path(argument)):
        raise UserError(
            f"{argument} is not a directory: give another --data.{field}, which is "
            f"{source}"
        )
    if kind == "folder":
        images = folder.open_folder(as_path(argument), crop_size=data.crop_size)
    elif kind == "arrayrecord":
        images = array_record_reader.ArrayRecordReader(as_path(argument))
    elif kind == "tfds":
        images = tfds_reader.TFDSReader(
            argument, split=split, directory=data.directory, feature=data.feature
        )
    else:
        return built_in.BuiltInPhotographs(photographs, crop_size=data.crop_size)
    return SkipUnusable(images, crop_size=data.crop_size, name=f"data.{field} {source}")


def _parts(source: str) -> list[tuple[Fraction, str]]:
    """Returns the weights and the sources of a mixture, or the one source itself.

    Raises:
      UserError: If a mixture is not of the form of `mixture.FORM`.
    """
    kind, argument = _split(source)
    return mixture.parse(argument) if kind == mixture.KIND else [(Fraction(1), source)]


def _split(source: str) -> tuple[str, str]:
    """Splits a source into its kind and the folder or name after the colon."""
    kind, _, argument = source.partition(":")
    return kind, argument


def _is_source(source: str) -> bool:
    kind, argument = _split(source)
    has_argument = kind in {"folder", "arrayrecord", "tfds"} and argument != ""
    return source == "builtin" or has_argument
