"""Images to cut into tiles: one for each file of folders, or record of data sets."""

import concurrent.futures
import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from jaxcorr import image_files, paths
from jaxcorr.data import array_record_reader, stored_images, tfds_reader
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.progress import Progress
from jaxcorr.errors import UserError
from jaxcorr.paths import as_path

CHUNK = 1000
"""Number of images that are handled between two looks at the clock."""

FORMS = "DIR, folder:DIR, arrayrecord:DIR or tfds:NAME"


@dataclasses.dataclass(frozen=True, slots=True)
class FileImage:
    """An image in a file.

    Attributes:
      folder: Folder of the source.
      key: Path of the file below the folder.
      size: Bytes of the file.
    """

    folder: str
    key: str
    size: int

    @property
    def name(self) -> str:
        """Returns the path of the file."""
        return os.path.join(self.folder, self.key)

    def read(self) -> tuple[UInt8[np.ndarray, "h w 3"], bytes | None]:
        """Returns the image, and its bytes if they can be stored as they are.

        Raises:
          UserError: If the file cannot be read.
        """
        return stored_images.read_file(as_path(self.name))


@dataclasses.dataclass(frozen=True, slots=True)
class RecordImage:
    """An image in a record of a data set.

    Attributes:
      data_set: Name of the data set.
      source: The data set.
      index: Number of the record.
    """

    data_set: str
    source: ImageSource
    index: int

    @property
    def name(self) -> str:
        """Returns the name of the data set and the number of the record."""
        return f"{self.data_set} {self.index}"

    @property
    def key(self) -> str:
        """Returns what identifies the image in its data set."""
        return str(self.index)

    @property
    def size(self) -> int:
        """Returns 0, since the size is not known."""
        return 0

    def read(self) -> tuple[UInt8[np.ndarray, "h w 3"], None]:
        """Returns the image, and None: its bytes are not stored as they are.

        Raises:
          UserError: If the image is damaged.
        """
        return self.source[self.index], None


ListedImage = FileImage | RecordImage


def list_images(
    sources: Sequence[str],
    *,
    split: str = "train",
    directory: str | None = None,
    feature: str | None = None,
) -> list[ListedImage]:
    """Lists the images of sources, and reads none.

    Args:
      sources: Folders, which are searched recursively, `folder:DIR`, `arrayrecord:DIR`
        or `tfds:NAME`.
      split: Split of data sets of TFDS.
      directory: Folder of prepared data sets of TFDS.
      feature: Image feature of data sets of TFDS.

    Raises:
      UserError: If a source does not exist or holds no image.
    """
    progress = Progress("prepare")
    listed: list[ListedImage] = []
    for source in sources:
        kind, _, argument = source.partition(":")
        if kind == "tfds":
            reader = tfds_reader.TFDSReader(
                argument, split=split, directory=directory, feature=feature
            )
            listed += _records(source, reader)
        elif kind == "arrayrecord":
            reader = array_record_reader.ArrayRecordReader(as_path(argument))
            listed += _records(source, reader)
        elif kind in {"mix", "builtin"}:
            raise UserError(f"{source} cannot be cut into tiles; give {FORMS}")
        else:
            text = argument if kind == "folder" else source
            folder = as_path(text).expanduser()
            name, prefix = os.fspath(folder), len(os.path.join(folder, ""))
            for entry in image_files.scan_images(folder):
                size, _ = image_files.version(entry)
                listed.append(FileImage(name, entry.path[prefix:], size))
                if len(listed) % CHUNK == 0:
                    progress.say(f"found {len(listed):,} images")
    return listed


def _records(source: str, reader: ImageSource) -> Iterator[RecordImage]:
    for index in range(len(reader)):
        yield RecordImage(source, reader, index)


def digest(images: Sequence[ListedImage]) -> str:
    """Returns a hash of the names and the bytes of the files of images.

    Folders that hold the same files give the same hash wherever they are.
    """
    found = hashlib.sha256()
    for image in images:
        text = f"{image.key}\0{image.size}\0"
        found.update(text.encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:16]


def find_duplicates(images: Sequence[ListedImage]) -> dict[int, int]:
    """Finds files that are equal to an earlier one, byte for byte.

    Only files of the same length are read.

    Args:
      images: The images. Records of data sets are taken as different.

    Returns:
      The number of the first file, by the number of each later one.

    Raises:
      UserError: If a file cannot be read.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, image in enumerate(images):
        if image.size:
            by_size[image.size].append(number)
    candidates = sorted(n for same in by_size.values() if len(same) > 1 for n in same)
    progress = Progress("prepare")
    first: dict[bytes, int] = {}
    duplicates = {}
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for start in range(0, len(candidates), CHUNK):
            chunk = candidates[start : start + CHUNK]
            names = [images[number].name for number in chunk]
            for number, key in zip(chunk, threads.map(_hash, names), strict=True):
                if first.setdefault(key, number) != number:
                    duplicates[number] = first[key]
            done = start + len(chunk)
            progress.say(f"compared {done:,} of {len(candidates):,} files")
    return duplicates


def _hash(name: str) -> bytes:
    path = as_path(name)
    try:
        with paths.remote_errors(path, "cannot be read"), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from error
