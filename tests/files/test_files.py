import errno
import os
import stat
from pathlib import Path

import pytest

from jaxcorr import files
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


def fill_disk(monkeypatch):
    """Lets `write_bytes` write one byte, then fail as on a full disk."""

    def write_bytes(path, data):
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path):
    files.write_file(tmp_path / "a" / "b" / "file", b"data")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path / "a" / "b") == ["file"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    files.write_file(tmp_path / "file", b"")
    (tmp_path / "other").touch()

    def mode(name):
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    assert mode("file") == mode("other")


def test_a_full_disk_leaves_the_older_file_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_bytes(b"older")
    fill_disk(monkeypatch)
    message = f"cannot write {target}: No space left on device"
    with pytest.raises(UserError, match=message):
        files.write_file(target, b"newer")
    assert target.read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    for new in (files.atomic_file, files.atomic_folder):
        with pytest.raises(KeyboardInterrupt), new(tmp_path / "new") as temporary:
            if new is files.atomic_file:
                temporary.write_bytes(b"half")
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_folder_replaces_an_older_one(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with files.atomic_folder(target) as temporary:
        (temporary / "new").touch()
        assert os.listdir(target) == ["old"]
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["folder"]


def test_paths_that_are_not_files_are_not_replaced(tmp_path):
    cases = {
        tmp_path: "it is a directory",
        Path("/dev/null"): "it is not a regular file",
        tmp_path / "file" / "below": "file is not a directory",
        tmp_path / "file" / "far" / "below": "file is not a directory",
        tmp_path / "broken" / "below": "broken is not a directory",
    }
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for path, message in cases.items():
        for write in (files.check_file, lambda path: files.write_file(path, b"")):
            with pytest.raises(UserError, match=f"cannot write {path}: .*{message}"):
                write(path)
    assert sorted(os.listdir(tmp_path)) == ["broken", "file"]


def test_a_folder_without_permission_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Root may write.
    with pytest.raises(UserError, match=f"no permission to write in {tmp_path}"):
        files.check_file(tmp_path / "new" / "file")


def test_a_long_name_can_be_written(tmp_path):
    files.write_file(tmp_path / ("n" * 255), b"")
