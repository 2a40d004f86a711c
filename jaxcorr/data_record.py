"""The record of a run's images, which recognizes them in another place.

Paths of images may change between two starts of a run, but not the images: the order of
the data follows from their number. The record has the number of training images and
the first of them, for each size of crops, and the held-out crops. Of a mixture it also
has the proportion, and the number and first images of each source.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxcorr import files
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.mixture import Mixture
from jaxcorr.errors import UserError
from jaxcorr.hosts import messages
from jaxcorr.paths import AnyPath
from jaxcorr.training import distributed

FILE = "images.json"
"""File of a run directory with the record."""
FIRST = 3
"""Number of first images that are compared."""
BLOCKS = 4
"""Blocks along each side of an image whose mean colors are compared."""
MIXTURE = "mixture"
"""Key of the sources of a mixture; None for another source."""
TOLERANCE = 2
"""Difference of mean colors, on the 0-255 scale, that two decoders may have."""


def describe(
    sources: Mapping[int, ImageSource], held_out: UInt8[np.ndarray, "n h w 3"]
) -> dict[str, Any]:
    """Returns the record of the images of a run, as JSON.

    Args:
      sources: Training images by the size of crops.
      held_out: Crops for evaluation.
    """
    training = {str(size): _describe(source) for size, source in sources.items()}
    return {"training": training, "held_out": [_look(crop) for crop in held_out]}


def write(workdir: AnyPath, record: Mapping[str, Any]) -> None:
    """Writes a record to a run directory, in the first process."""
    if distributed.is_first_process():
        files.write_file(workdir / FILE, (json.dumps(record) + "\n").encode())


def check(workdir: AnyPath, record: Mapping[str, Any], *, moved: Sequence[str]) -> None:
    """Checks that the images of a run are those of its record.

    A run of an earlier version has no record, and gets one.

    Args:
      workdir: The run directory.
      record: Result of `describe`.
      moved: Flags of the settings with another place than before.

    Raises:
      UserError: If the images differ, or have moved and there is no record.
    """
    path, flags = workdir / FILE, " and ".join(moved)
    if not path.exists():
        if moved:
            raise UserError(
                f"{workdir} has no record of its images, so {flags} cannot change: "
                "give what the run was started with"
            )
        write(workdir, record)
        return
    before = json.loads(files.read_file(path))
    for size, now in record["training"].items():
        then = before["training"].get(size)
        if then is not None:
            _check_source(then, now, str(workdir), flags)
    _check_same(before["held_out"], record["held_out"], f"{workdir}: held-out", flags)


def check_processes(record: Mapping[str, Any]) -> None:
    """Checks that this process sees the images that process 0 sees.

    Every process must call it. Without it each would train on an order of its own.

    Args:
      record: Result of `describe`.

    Raises:
      UserError: If the images differ.
    """
    own = json.dumps(record) if distributed.is_first_process() else ""
    expected = json.loads(messages.gather("images", own)[0])
    try:
        for size, now in record["training"].items():
            _check_source(expected["training"][size], now, "", "")
        _check_same(expected["held_out"], record["held_out"], "", "")
    except UserError as error:
        counts = [
            sum(source["count"] for source in images["training"].values())
            for images in (record, expected)
        ]
        how_many = f" ({counts[0]} of {counts[1]})" if counts[0] != counts[1] else ""
        raise UserError(
            f"data.source or data.held-out has other images{how_many} here than in "
            "process 0: give all hosts the same images"
        ) from error


def _describe(source: ImageSource) -> dict[str, Any]:
    """Returns the record of a source, and of each source of a mixture."""
    record: dict[str, Any] = {
        "count": len(source),
        "first": [_look(source[n]) for n in range(min(FIRST, len(source)))],
        MIXTURE: None,
    }
    if isinstance(source, Mixture):
        record[MIXTURE] = {
            "proportion": list(source.counts),
            "sources": [_describe(part) for part in source.sources],
        }
    return record


def _check_source(
    before: Mapping[str, Any], now: Mapping[str, Any], name: str, flags: str
) -> None:
    """Raises a UserError if a source has other images than its record."""
    given = flags or "data.source"
    if before["count"] != now["count"]:
        raise UserError(
            f"{name} was trained on {before['count']} images, but {given} has "
            f"{now['count']}: give the same images"
        )
    _check_same(before["first"], now["first"], f"{name}: training image", flags)
    if MIXTURE not in before:  # Of an earlier version.
        if flags and now[MIXTURE] is not None:
            raise UserError(
                f"{name} has no record of its mixture, so {flags} cannot change: give "
                "what the run was started with"
            )
        return
    proportions = [_proportion(record[MIXTURE]) for record in (before, now)]
    if proportions[0] != proportions[1]:
        raise UserError(
            f"{name} was trained on {proportions[0]}, but {given} has "
            f"{proportions[1]}: give the same weights"
        )
    if now[MIXTURE] is None:
        return
    parts = zip(before[MIXTURE]["sources"], now[MIXTURE]["sources"], strict=True)
    for number, (part, now_part) in enumerate(parts):
        _check_source(part, now_part, f"{name}: source {number} of the mixture", flags)


def _proportion(mixture: Mapping[str, Any] | None) -> str:
    """Returns the proportion of the sources of a mixture, in words."""
    if mixture is None:
        return "one source"
    return "a mixture of " + ":".join(map(str, mixture["proportion"]))


def _check_same(before: Sequence, now: Sequence, name: str, flags: str) -> None:
    """Raises a UserError if images look different, or are more or fewer."""
    is_same = len(before) == len(now)
    numbers = [
        n
        for n, pair in enumerate(zip(before, now, strict=False))
        if not _is_same(*pair)
    ]
    if not is_same or numbers:
        which = numbers[0] if numbers else min(len(before), len(now))
        raise UserError(
            f"{name} {which} is not that of earlier starts"
            f"{f' ({flags} changed)' if flags else ''}: give the same images"
        )


def _look(image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Any]:
    """Returns the size of an image and the mean colors of blocks of it."""
    height, width = image.shape[:2]
    rows, columns = (np.arange(BLOCKS) * side // BLOCKS for side in (height, width))
    sums = np.add.reduceat(image.astype(np.float64), rows, axis=0)
    sums = np.add.reduceat(sums, columns, axis=1)
    areas = np.outer(
        *(
            np.diff([*starts, side])
            for starts, side in ((rows, height), (columns, width))
        )
    )
    colors = np.round(sums / areas[..., None]).astype(int)
    return {"size": [height, width], "colors": colors.ravel().tolist()}


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Returns whether two images look the same, but for rounding by a decoder."""
    if before["size"] != now["size"]:
        return False
    difference = np.subtract(before["colors"], now["colors"])
    return bool(np.abs(difference).max() <= TOLERANCE)
