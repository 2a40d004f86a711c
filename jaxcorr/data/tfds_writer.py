"""Prepares a folder of images as a TFDS data set, for fast random access.

    jaxcorr prepare DIR --data-dir OUT --name photographs
    jaxcorr train CONFIG --data.source tfds:photographs --data.directory OUT

TensorFlow is not needed: images are stored as encoded files, which TFDS passes through.
"""

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds
from PIL import Image

from jaxcorr import images
from jaxcorr.errors import UserError

logger = logging.getLogger(__name__)


class ImageFolderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """TFDS builder for the images below a folder, in one split, `train`.

    Every reader gets 8-bit RGB, upright: JPEG and PNG files that are so already are
    stored as they are, anything else as PNG. Files that cannot be read are left out.
    """

    VERSION = tfds.core.Version("1.0.0")
    # Nothing is downloaded; TFDS would look for checksums beside this file with the
    # help of importlib_resources, which it does not install.
    url_infos = None

    def __init__(self, name: str, directory: Path, *, data_dir: Path):
        """Names the data set; `download_and_prepare` writes it.

        Args:
          name: Name under which `tfds.builder(name, data_dir=…)` finds the data set.
          directory: Folder of images, searched recursively.
          data_dir: Folder of TFDS data sets to write to.

        Raises:
          UserError: If the folder is missing or holds no image that can be read.
        """
        # A class attribute in TFDS, but its own ad-hoc builders set it just so.
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self.skipped: list[str] = []
        self._directory = directory
        self._paths = images.find_images(directory)
        if not any(map(_is_readable, self._paths)):
            raise UserError(f"{directory}: none of its images can be read")
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(), "file": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict]]:
        for path in self._paths:
            file = path.relative_to(self._directory).as_posix()
            try:
                yield file, {"image": encode_image_file(path), "file": file}
            except UserError as error:
                self.skipped.append(file)
                logger.warning("skipped %s", error)


def prepare(directory: Path, *, data_dir: Path, name: str) -> str:
    """Prepares a folder of images as a TFDS data set.

    Args:
      directory: Folder of images, searched recursively.
      data_dir: Folder of TFDS data sets to write to.
      name: Name of the data set: letters, digits and underscores.

    Returns:
      What was done, in a line.

    Raises:
      UserError: If nothing could be prepared.
    """
    if not name.isidentifier():
        raise UserError(
            f"--name must be letters, digits and underscores, but is {name!r}"
        )
    builder = ImageFolderBuilder(name, directory, data_dir=data_dir)
    if builder.data_path.exists():
        raise UserError(f"{builder.data_path} exists already")
    builder.download_and_prepare()
    count = builder.info.splits["train"].num_examples
    skipped = len(builder.skipped)
    return f"{builder.data_path}: {count} images, {skipped} files skipped"


def _is_readable(path: Path) -> bool:
    try:
        images.read_image(path)
    except UserError:
        return False
    return True


def encode_image_file(path: Path) -> bytes:
    """The file itself where any reader gets upright 8-bit RGB from it, else as PNG."""
    image, conversion = images.read_image(path)  # Decodes it all: no damage is stored.
    with Image.open(path) as opened:
        portable = opened.format in {"JPEG", "PNG"}
    if portable and conversion is None:
        return path.read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    print("jaxcorr: error: this is now jaxcorr prepare", file=sys.stderr)
    sys.exit(2)
