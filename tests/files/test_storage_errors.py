"""Errors of storage that may pass, and those that may not."""

import errno
import os
import pickle

import numpy as np
import pytest

from jaxcorr import runtime, storage_errors
from jaxcorr.data.skip_unusable import SkipUnusable
from jaxcorr.errors import START_AGAIN, StorageError, TransientError, UserError
from jaxcorr.images import parts, reader

pytestmark = pytest.mark.fast


class HttpError(Exception):
    """Has the status of an answer, as the error of gcsfs."""

    def __init__(self, code):
        self.code = code


class ServerDisconnectedError(type("ClientConnectionError", (Exception,), {})):
    """Has the bases of aiohttp's error."""


def disk_error(number):
    return OSError(number, os.strerror(number))


PASSING = [
    disk_error(errno.EIO),
    disk_error(errno.ECONNRESET),
    TimeoutError(),
    HttpError(429),
    HttpError(503),
    ServerDisconnectedError(),
    ValueError("UNAVAILABLE: the service is overloaded"),
]
LASTING = [
    disk_error(errno.EACCES),
    disk_error(errno.ENOSPC),
    OSError("Forbidden: no right to read the object"),
    HttpError(401),
    ValueError("NOT_FOUND: no such bucket"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_outages_may_pass_and_ask_the_launcher_to_start_again(error, capsys):
    with pytest.raises(SystemExit) as ended, runtime.exit_on_user_error():
        raise storage_errors.storage_error("gs://b/x cannot be read", error)
    assert ended.value.code == START_AGAIN
    assert capsys.readouterr().err.startswith("jaxcorr: error: gs://b/x cannot be read")


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_refusals_of_storage_do_not_pass(error):
    found = storage_errors.storage_error("a message", error)
    assert type(found) is StorageError and found.status == 2


def test_a_file_that_is_missing_is_an_error_about_that_file():
    assert type(storage_errors.storage_error("x", FileNotFoundError())) is UserError


def test_the_status_outlives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(TransientError("no answer")))
    assert type(error) is TransientError and error.status == START_AGAIN


def test_an_image_that_cannot_be_reached_is_not_left_out():
    image = np.zeros((8, 8, 3), np.uint8)

    class Source:
        answers = True

        def __len__(self):
            return 2

        def __getitem__(self, index):
            if index and not self.answers:
                raise TransientError("the bucket does not answer")
            return image

    inner = Source()
    source = SkipUnusable(inner, crop_size=8, name="a source")
    inner.answers = False
    with pytest.raises(TransientError):
        source[1]
    inner.answers = True
    np.testing.assert_array_equal(source[1], image)


def test_a_disk_that_fails_is_not_taken_for_a_damaged_image(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"not an image")
    assert parts.read_size(tmp_path / "a.png") == (0, 0)

    def fail(*_):
        raise disk_error(errno.EIO)

    monkeypatch.setattr(parts, "open_start", fail)
    monkeypatch.setattr(type(tmp_path), "read_bytes", fail)
    with pytest.raises(TransientError, match=r"a\.png cannot be read"):
        parts.read_size(tmp_path / "a.png")
    with pytest.raises(TransientError, match=r"a\.png cannot be read as an image"):
        reader.read(tmp_path / "a.png")
