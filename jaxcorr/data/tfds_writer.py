"""Prepares a folder of images as a TFDS data set, for fast random access.

    jaxcorr prepare DIR --data-dir OUT --name photographs
    jaxcorr train CONFIG --data.source tfds:photographs --data.directory OUT

It needs no TensorFlow: images are stored as encoded files, which TFDS copies unchanged.
"""

import io
import logging
import sys
from collections.abc import Iterator

from PIL import Image

from jaxcorr import extras, files, images, paths
from jaxcorr.data import array_record_reader, stored_images
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

with extras.needs_extra("tfds", "writing a data set"):
    import tensorflow_datasets as tfds

logger = logging.getLogger(__name__)


class ImageFolderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS builder for the images below a folder, in the single split `train`.

    Readers get upright images in 8-bit RGB. JPEG and PNG files that already decode to
    such images are stored as they are, and all other files as PNG. Files that cannot be
    read are skipped with a warning.

    Args:
      name: Name under which `tfds.builder(name, data_dir=…)` finds the data set.
      directory: Folder of images, searched recursively.
      data_dir: Folder of TFDS data sets to write to.

    Attributes:
      skipped: Files that could not be read, as paths relative to the folder.

    Raises:
      UserError: If the folder is missing or holds no image that can be read.
    """

    VERSION = tfds.core.Version("1.0.0")
    # Nothing is downloaded. TFDS would otherwise look for checksums beside this file,
    # with importlib_resources, which it does not install.
    url_infos = None

    def __init__(self, name: str, directory: AnyPath, *, data_dir: AnyPath):
        # A class attribute in TFDS, which its own ad-hoc builders set like this, too.
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


def prepare(directory: AnyPath, *, data_dir: AnyPath, name: str) -> str:
    """Prepares a folder of images as a TFDS data set.

    Args:
      directory: Folder of images, searched recursively.
      data_dir: Folder of TFDS data sets to write to.
      name: Name of the data set: letters, digits and underscores.

    Returns:
      A line for the user: the folder of the data set and the number of images.

    Raises:
      UserError: If the name is invalid, the data set exists already, or no image can be
        read.
    """
    if not name.isidentifier():
        raise UserError(
            f"--name must be letters, digits and underscores, but is {name!r}"
        )
    data_dir = data_dir.expanduser()
    target = data_dir / name / str(ImageFolderBuilder.VERSION)
    if paths.exists(target):
        raise UserError(f"{target} exists already")
    if not paths.is_remote(data_dir):
        return f"{target}: {_prepare(directory, data_dir, name)}"
    array_record_reader.check_storage(data_dir)
    # ArrayRecord writes to disks only.
    with files.atomic_folder(target, last="dataset_info.json") as folder:
        made = folder.with_name("made")
        described = _prepare(directory, made, name)
        folder.rmdir()
        (made / name / target.name).rename(folder)
    return f"{target}: {described}"


def _prepare(directory: AnyPath, data_dir: AnyPath, name: str) -> str:
    """Writes a data set to a disk, and returns its numbers of images in words."""
    builder = ImageFolderBuilder(name, directory, data_dir=data_dir)
    builder.download_and_prepare()
    count = builder.info.splits["train"].num_examples
    return f"{count} images, {len(builder.skipped)} files skipped"


def _is_readable(path: AnyPath) -> bool:
    try:
        images.read_image(path)
    except UserError:
        return False
    return True


def encode_image_file(path: AnyPath) -> bytes:
    """Returns the bytes of an image file that every reader decodes to upright RGB.

    Args:
      path: The image file. JPEG and PNG files of upright 8-bit RGB are returned as they
        are, all other images as PNG.

    Raises:
      UserError: If the file cannot be read.
    """
    image, encoded = stored_images.read_file(path)
    if encoded is not None:
        return encoded
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    print("jaxcorr: error: this is now jaxcorr prepare", file=sys.stderr)
    sys.exit(2)
