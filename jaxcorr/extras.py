"""Optional dependencies, by the extra of the distribution that installs them."""

import contextlib
from collections.abc import Iterator

from jaxcorr.errors import UserError

MODULES = {
    "train": ("array_record", "grain", "skimage", "tensorboardX"),
    "tfds": ("tensorflow_datasets",),
    "plots": ("markdown_it", "matplotlib"),
    "onnx": ("jax2onnx",),
    "wandb": ("wandb",),
    "compressai": ("torch",),
    "heif": ("pillow_heif",),
    "jpegxl": ("imagecodecs",),
    "gcs": ("gcsfs",),
    "s3": ("s3fs",),
}
"""Top-level modules that each extra of jaxcorr installs; `train` includes `plots`."""


@contextlib.contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Names the extra to install if the block imports a module that is missing.

    Args:
      extra: Extra that installs what the block imports.
      purpose: Subject of the message, such as "training".

    Raises:
      UserError: If a module of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in MODULES[extra]:
            raise
        raise UserError(
            f"{purpose} needs {module}, which is not installed: "
            f"pip install 'jaxcorr[{extra}]'"
        ) from error
