"""Buckets are reached by fsspec, whatever else is installed."""

import importlib.util

import pytest
from etils.epath import gpath
from support import buckets

from jaxcorr import paths


@pytest.mark.fast
def test_buckets_do_not_need_the_client_of_tensorflow(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name == "tensorflow" or found(name)
    )
    with buckets.memory_buckets(monkeypatch):
        # Another package, such as TensorFlow Datasets, asks for a path before.
        monkeypatch.delenv("EPATH_USE_TF", raising=False)
        gpath._is_tf_installed.cache_clear()
        assert gpath._is_tf_installed()
        path = paths.as_path("gs://bucket/a")
        path.write_text("b")
        assert (paths.as_path("gs://bucket") / "a").read_text() == "b"
