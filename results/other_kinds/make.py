"""Makes a folder of images of other kinds than the training set.

    python results/other_kinds/make.py

writes `runs/other_kinds/images/KIND/NAME.png`: photographs, scans and drawings out of
packages (see `photographs.py`), and drawings and screenshots (`drawings.py`,
`screenshots.py`). An image that cannot be fetched is named, and the others are made.

Every image is cropped around its middle to sides of 128, 256, 384 or 512 pixels, so
that no codec pays for padding and few programs are compiled.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import drawings
import numpy as np
import photographs
import screenshots
import tyro
from jaxtyping import UInt8

from jaxcorr import images
from jaxcorr.errors import UserError

FOLDER = Path("runs/other_kinds")
IMAGES = FOLDER / "images"
STEP, LARGEST = 128, 512
"""Sides of images are multiples of `STEP`, at most `LARGEST`; in pixels."""

DRAWN = {
    "drawings/chart": drawings.chart,
    "drawings/relief_map": drawings.relief_map,
    "drawings/cartoon": drawings.cartoon,
    "text/scanned_page": drawings.scanned_page,
    "screenshots/web_page": screenshots.web_page,
    "screenshots/terminal": screenshots.terminal,
    "screenshots/editor": screenshots.editor,
    "screenshots/spreadsheet": screenshots.spreadsheet,
    "screenshots/dialog": screenshots.dialog,
}
"""Images that are drawn here, by kind and name."""

Picture = UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Folders."""

    output: Path = IMAGES
    """Folder for the images."""
    downloads: Path = FOLDER / "packages"
    """Folder for the packages, about 80 MB."""


def main(settings: Settings) -> int:
    """Makes all images, and returns how many could not be made."""
    missing = 0
    for name, load in sources(settings.downloads):
        try:
            images.write_image(settings.output / f"{name}.png", crop(load()))
        except UserError as error:
            print(f"{name} is missing: {error}", file=sys.stderr)
            missing += 1
    count = len(images.find_images(settings.output))
    print(f"{count} images in {settings.output}; {missing} are missing")
    return missing


def sources(downloads: Path) -> Iterator[tuple[str, Callable[[], Picture]]]:
    """Yields kind and name of every image, and the function that returns it."""
    for photograph in photographs.read_list():
        yield (
            f"{photograph.kind}/{photograph.name}",
            lambda photograph=photograph: photographs.load(photograph, downloads),
        )
    yield from DRAWN.items()


def crop(image: Picture) -> Picture:
    """Returns the middle of an image, with sides that are multiples of `STEP`."""
    sides = [min(LARGEST, side // STEP * STEP) for side in image.shape[:2]]
    top, left = (
        (side - kept) // 2 for side, kept in zip(image.shape[:2], sides, strict=True)
    )
    return image[top : top + sides[0], left : left + sides[1]]


if __name__ == "__main__":
    sys.exit(bool(main(tyro.cli(Settings))))
