"""Image data sets that TensorFlow Datasets prepared, read without TensorFlow."""

import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from jaxcorr import images
from jaxcorr.errors import UserError


class TFDSReader:
    """Images of a TFDS data set, decoded at each access.

    The image is taken out of the record here: TFDS would decode all the other features
    too, some of which it cannot without OpenCV, and the image with another decoder
    where OpenCV is installed, to other pixels.
    """

    def __init__(
        self, name: str, *, split: str, directory: str | None, feature: str | None
    ):
        """Opens a split.

        Args:
          name: Name as TFDS takes it: `name`, `name/config` or `name:version`.
          split: Split as TFDS takes it, slices included.
          directory: Where the data set is prepared; None for TFDS's default.
          feature: Image feature to read; None where there is only one.

        Raises:
          UserError: If there is no such data set, split or feature, or the data set
            is not prepared for random access.
        """
        import tensorflow_datasets as tfds  # A second of import that few runs need.

        builder = _find(tfds, name, directory)
        self._feature = _choose(tfds, builder.info.features, name, feature)
        try:
            self._records = builder.as_data_source(
                split,
                file_format="array_record",
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            )
        except (NotImplementedError, FileNotFoundError) as error:
            raise UserError(_unprepared(name, directory)) from error
        except ValueError as error:
            raise UserError(f"tfds:{name}: {_first_line(error)}") from error

    def __len__(self) -> int:
        """How many images."""
        return len(self._records)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes an image.

        Raises:
          UserError: If it is damaged.
        """
        from tensorflow_datasets.proto import tf_example_pb2

        record = self._records[index]
        # Protobuf makes its classes when it is imported, which pyright cannot see.
        example = tf_example_pb2.Example.FromString(record)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            encoded = example.features.feature[self._feature].bytes_list.value[0]
            with Image.open(io.BytesIO(encoded)) as opened:
                return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        except (IndexError, *images.UNREADABLE) as error:
            raise UserError(f"image {index} cannot be decoded: {error}") from error


def _find(tfds: Any, name: str, directory: str | None) -> Any:
    try:
        return tfds.builder(name, data_dir=directory)
    except tfds.core.registered.DatasetNotFoundError as error:
        place = f"{directory} holds" if directory else "TFDS has"
        raise UserError(
            f"tfds:{name}: {place} no data set of that name; "
            "a folder of images is made one by: jaxcorr prepare"
        ) from error
    except ImportError as error:
        # Some data sets cannot even be described without TensorFlow.
        raise UserError(_unprepared(name, directory)) from error
    except (ValueError, OSError) as error:
        raise UserError(f"tfds:{name}: {_first_line(error)}") from error


def _choose(tfds: Any, features: Any, name: str, feature: str | None) -> str:
    """Finds the image feature by its type: its name differs between data sets."""
    found = [
        key
        for key, value in features.items()
        if type(value) is tfds.features.Image and value.np_dtype == np.uint8
    ]
    if feature is None and len(found) == 1:
        return found[0]
    if feature is not None and feature in found:
        return feature
    if feature is None and found:
        rule = "data.feature must say which"
    elif feature is None:
        rule = "8-bit images are needed"
    else:
        rule = f"data.feature is {feature!r}"
    listed = ", ".join(found) or "none"
    raise UserError(f"tfds:{name} has these features of 8-bit images: {listed}; {rule}")


def _unprepared(name: str, directory: str | None) -> str:
    place = f" --data_dir {directory}" if directory else ""
    return (
        f"tfds:{name} is not prepared in the format array_record; do it with: "
        f"pip install 'jaxcorr[prepare]' && "
        f"tfds build {name} --file_format array_record{place}"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
