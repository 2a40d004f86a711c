"""A data source of TensorFlow Datasets (TFDS), read without TensorFlow."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxcorr import extras
from jaxcorr.data import array_record_reader, stored_images
from jaxcorr.errors import UserError
from jaxcorr.paths import as_path


class TFDSReader:
    """A data source that decodes an image of a TFDS data set at each access.

    It reads the encoded image from the record and decodes it as image files are
    decoded. TFDS itself would decode all features, some of which need OpenCV. It would
    also decode the image with OpenCV if that is installed, to slightly different
    pixels.

    Args:
      name: Name of the data set in TFDS: `name`, `name/config` or `name:version`.
      split: Split in TFDS's notation, including slices such as `train[:99%]`.
      directory: Folder of prepared data sets; None for the default of TFDS.
      feature: Image feature to read; None if there is only one.

    Raises:
      UserError: If the data set, split or feature does not exist, or the data set is
        not prepared for random access.
    """

    def __init__(
        self, name: str, *, split: str, directory: str | None, feature: str | None
    ):
        with extras.needs_extra("tfds", f"tfds:{name}"):
            import tensorflow_datasets as tfds  # Takes a second; few runs need it.

        if directory is not None:
            # Also says which package is missing to read a bucket.
            array_record_reader.check_storage(as_path(directory))
        builder = _find_builder(tfds, name, directory)
        self._feature = _choose_feature(tfds, builder.info.features, name, feature)
        try:
            self._records = builder.as_data_source(
                split,
                file_format="array_record",
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            )
        except (NotImplementedError, FileNotFoundError) as error:
            raise UserError(_not_prepared_message(name, directory)) from error
        except ValueError as error:
            raise UserError(f"tfds:{name}: {_first_line(error)}") from error

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._records)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes an image as 8-bit RGB.

        Raises:
          UserError: If the image is damaged.
        """
        from tensorflow_datasets.proto import tf_example_pb2

        record = self._records[index]
        # Protobuf creates its classes at import, which pyright cannot see.
        example = tf_example_pb2.Example.FromString(record)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            encoded = example.features.feature[self._feature].bytes_list.value[0]
        except IndexError as error:
            raise UserError(f"image {index} is missing from its record") from error
        return stored_images.decode(encoded, name=f"image {index}")


def _find_builder(tfds: Any, name: str, directory: str | None) -> Any:
    try:
        return tfds.builder(name, data_dir=directory)
    except tfds.core.registered.DatasetNotFoundError as error:
        place = f"{directory} holds" if directory else "TFDS has"
        raise UserError(
            f"tfds:{name}: {place} no data set of that name; "
            "to make one of a folder of images, run: jaxcorr prepare"
        ) from error
    except ImportError as error:
        # Some data sets cannot even be described without TensorFlow.
        raise UserError(_not_prepared_message(name, directory)) from error
    except (ValueError, OSError) as error:
        raise UserError(f"tfds:{name}: {_first_line(error)}") from error


def _choose_feature(tfds: Any, features: Any, name: str, feature: str | None) -> str:
    """Returns the image feature, found by type: its name differs between data sets."""
    candidates = [
        key
        for key, value in features.items()
        if type(value) is tfds.features.Image and value.np_dtype == np.uint8
    ]
    if feature is None and len(candidates) == 1:
        return candidates[0]
    if feature is not None and feature in candidates:
        return feature
    if feature is None and candidates:
        rule = "data.feature must say which"
    elif feature is None:
        rule = "8-bit images are needed"
    else:
        rule = f"data.feature is {feature!r}"
    listed = ", ".join(candidates) or "none"
    raise UserError(f"tfds:{name} has these features of 8-bit images: {listed}; {rule}")


def _not_prepared_message(name: str, directory: str | None) -> str:
    place = f" --data_dir {directory}" if directory else ""
    return (
        f"tfds:{name} is not prepared in the format array_record; run: "
        f"pip install 'jaxcorr[prepare]' && "
        f"tfds build {name} --file_format array_record{place}"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
