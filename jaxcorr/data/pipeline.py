"""Reproducible batches of random crops; any batch can be computed on its own."""

import contextlib
import functools
import itertools
import sys
from collections.abc import Generator, Sequence

import numpy as np
from absl import flags
from jaxtyping import UInt8

from jaxcorr import extras, runtime
from jaxcorr.data import augmentation, mixture
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.mixture import Mixture
from jaxcorr.data.sources import DataConfig, held_out_source

with extras.needs_extra("train", "training"):
    import grain

MAX_THREADS = 16
"""Maximum number of threads that read images."""

LARGEST_SIDE = 1536
"""Side of a held-out image, in pixels, above which it is cut; a side of a canvas."""

R2_STEP = 1.32471795724474602596 ** np.array([-1.0, -2.0])
"""Step of the sequence R2: powers of the plastic number, the root of x**3 = x + 1."""


def batches(
    source: ImageSource,
    data: DataConfig,
    *,
    start: int = 0,
    skipped_images: int = 0,
    rows: Sequence[int] | None = None,
) -> Generator[UInt8[np.ndarray, "b crop crop 3"], None, None]:
    """Yields endless batches of crops: random places, mirrored and changed at random.

    Batch k depends only on the source, the settings and k, not on the number of
    threads, workers or processes. A run that resumes from step k starts at batch k.

    Args:
      source: Images, none smaller than a crop.
      data: Settings of the data.
      start: Number of the first batch, from 0.
      skipped_images: Images before batch 0, which an earlier stage of a run has taken.
      rows: Rows of each batch to read, ascending; all rows are read by default.

    Returns:
      Generator of these rows of each batch. `close()` ends its threads and workers.
      With workers, the main module must be importable without side effects, because
      each worker is a new interpreter that imports it.
    """
    rows = range(data.batch_size) if rows is None else rows
    crops = functools.partial(
        augmentation.random_crops,
        count=data.crops_per_image,
        size=data.crop_size,
        flip=data.flip,
        config=data.augmentation,
    )
    images = _endless_images(source, data.seed)
    rest = images.random_map(crops)[skipped_images:]
    own_crops = _Rows(rest, batch_size=data.batch_size, rows=rows)
    group, position = divmod(start, data.crops_per_image)
    # A group is a batch for each crop of its images. Without `drop_remainder`, the
    # length of batches of one crop overflows.
    groups = own_crops.batch(len(rows), drop_remainder=True)[group:]
    # Grain's default prefetches 500 elements, which are groups of batches here.
    threads = min(MAX_THREADS, runtime.usable_threads()) // max(1, data.workers) or 1
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    dataset = groups.to_iter_dataset(options)
    if data.workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags.
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=data.workers), _end_with_parent
        )
        dataset = dataset.map(_copy)  # Frees the shared memory at once.
    with contextlib.closing(iter(dataset)) as read:
        yield from itertools.islice(itertools.chain.from_iterable(read), position, None)


def _endless_images(source: ImageSource, seed: int) -> grain.MapDataset:
    """Returns the images of a source without end, shuffled anew in each epoch.

    The sources of a mixture take turns, and each has epochs of its own.
    """
    if not isinstance(source, Mixture):
        return grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    seeds = mixture.source_seeds(seed, len(source.sources))
    parts = [
        _endless_images(part, own_seed)
        for part, own_seed in zip(source.sources, seeds, strict=True)
    ]
    mixed = grain.MapDataset.select_from_datasets(parts, _Turns(source))
    return mixed.seed(seed)


def _copy(group: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(map(np.array, group))


def read_held_out(
    data: DataConfig,
) -> tuple[UInt8[np.ndarray, "n crop crop 3"], list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Reads the images for evaluation during training, and cuts fixed crops from them.

    Takes `data.held_out_images` images that are spread evenly over the source, or all.
    A side of more than `LARGEST_SIDE` pixels is cut at the center, so that memory is
    bounded. Without whole images, takes as many images as crops.

    The first crop of an image is its center. Further crops, if there are more crops
    than images, follow the sequence R2 of Roberts, which spreads them evenly over the
    image.

    Args:
      data: Settings of the data.

    Returns:
      `data.held_out_crops` crops, and the whole images, which may have several sizes:
      the same in every process and at every call.

    Raises:
      UserError: If `sources.held_out_source` raises it.

    References:
      Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018,
      https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences.
    """
    source = held_out_source(data)
    count, size = data.held_out_crops, data.crop_size
    num_images = min(data.held_out_images or count, len(source))
    crops = np.empty((count, size, size, 3), np.uint8)
    whole = []
    for number, index in enumerate(np.linspace(0, len(source) - 1, num_images)):
        image = source[round(index)]
        if data.held_out_images:
            image = _cut_center(image, max(size, LARGEST_SIDE))
            whole.append(image)
        height, width = image.shape[:2]
        for order, row in enumerate(range(number, count, num_images)):
            down, right = (0.5 + order * R2_STEP) % 1
            top, left = round(down * (height - size)), round(right * (width - size))
            crops[row] = image[top : top + size, left : left + size]
    return crops, whole


def _cut_center(
    image: UInt8[np.ndarray, "h w 3"], side: int
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Returns the center of an image, of at most `side` pixels in each direction."""
    top, left = (max(0, length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _end_with_parent(worker: int, workers: int) -> None:
    """Ends a worker when its parent is killed. The parent saves first at Ctrl-C."""
    del worker, workers
    runtime.end_with_parent()


class _Turns(grain.transforms.DatasetSelectionMap):
    """Says which source of a mixture has its turn at each position."""

    def __init__(self, mixed: Mixture):
        self._mixed = mixed

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int]:
        return self._mixed.place(index)


class _Rows(grain.MapDataset):
    """Selects rows of each batch, such as the rows of one process."""

    def __init__(
        self, parent: grain.MapDataset, *, batch_size: int, rows: Sequence[int]
    ):
        super().__init__(parent)  # Links this stage to the pipeline.
        self._batch_size = batch_size
        self._rows = tuple(map(int, rows))

    def __len__(self) -> int:
        return len(self._parent) // self._batch_size * len(self._rows)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.slice(index)
        batch, position = divmod(index, len(self._rows))
        return self._parent[batch * self._batch_size + self._rows[position]]
