"""Clients of buckets: gcsfs and s3fs, which etils and others reach through fsspec."""

import contextlib
import importlib
import os
from typing import Any

from jaxcorr import extras

STORAGE = {"gs": ("gcs", "gcsfs"), "s3": ("s3", "s3fs")}
"""Extra and module that each scheme needs."""


def import_client(scheme: str, text: str) -> None:
    """Imports the client of a scheme, which never answers from a cache.

    Args:
      scheme: A key of `STORAGE`.
      text: What needs it, for the message.

    Raises:
      UserError: If it is not installed.
    """
    extra, module = STORAGE[scheme]
    with extras.needs_extra(extra, text):
        importlib.import_module(module)
    _use_fsspec()
    from fsspec.config import conf

    # Other processes, and TensorStore in this one, change what a cache would list.
    settings = conf.setdefault("gcs" if scheme == "gs" else scheme, {})
    settings.setdefault("use_listings_cache", False)


def file_system(path: "str | os.PathLike[str]") -> Any:
    """Returns the file system of fsspec of a path in a bucket."""
    from etils.epath import backend

    return backend.fsspec_backend.fs(path)


def _use_fsspec() -> None:
    """Makes etils use fsspec where TensorFlow is installed, whose client knows no S3.

    etils keeps its choice, and another package may have asked for it before.
    """
    from etils.epath import gpath

    os.environ["EPATH_USE_TF"] = "false"
    with contextlib.suppress(AttributeError):  # A version that keeps no choice.
        gpath._is_tf_installed.cache_clear()  # pyright: ignore
