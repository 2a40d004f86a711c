"""The lock on a run directory: refused while its run lives, taken over afterwards."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest
from support import buckets

from jaxcorr import paths
from jaxcorr.errors import UserError
from jaxcorr.hosts import run_lock, shared_disk

HOLDER = """
import sys, time
from pathlib import Path
from jaxcorr.hosts import run_lock
with run_lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock on `tmp_path / "run"`."""
    workdir = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(workdir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def fast(monkeypatch):
    """Counts faster than a run does."""
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(run_lock, "STALE_SECONDS", 2)
    monkeypatch.setattr(run_lock, "SETTLE_SECONDS", 0.1)


def forge(workdir, **changes):
    """Writes the lock of a run on another machine."""
    workdir.mkdir(parents=True, exist_ok=True)
    writer = run_lock.Writer("node7", 41, "2026-01-02 03:04:05+00:00", "token", "other")
    writer = dataclasses.replace(writer, **changes)
    (workdir / run_lock.FILE).write_text(json.dumps(dataclasses.asdict(writer)))


def test_a_living_run_is_named_and_a_killed_one_makes_way_at_once(holder, tmp_path):
    workdir = tmp_path / "run"
    named = rf"is being written by process {holder.pid} on .*, which started at 20"
    with pytest.raises(UserError, match=named), run_lock.hold(workdir):
        pass
    holder.kill()
    holder.wait()
    start = time.monotonic()
    with run_lock.hold(workdir):
        assert time.monotonic() - start < run_lock.STALE_SECONDS / 2
        (workdir / "kept").touch()
    assert [path.name for path in workdir.iterdir()] == ["kept"]


def test_a_run_that_wrote_nothing_leaves_no_directory(tmp_path):
    with run_lock.hold(tmp_path / "a" / "run") as lock:
        assert lock is not None
        lock.check()
        assert (tmp_path / "a" / "run" / run_lock.FILE).exists()
        with pytest.raises(UserError), run_lock.hold(tmp_path / "a" / "run"):
            pass  # Nor can this process hold it twice.
    assert not (tmp_path / "a" / "run").exists()


def test_a_run_of_another_machine_that_counts_is_refused(fast, tmp_path):
    with run_lock.hold(tmp_path / "run"):
        # It counts up in the name of another machine.
        machine = run_lock._read(tmp_path / "run")
        assert machine is not None
        forge(tmp_path / "run", token=machine.token)
        with pytest.raises(UserError, match="is being written by process"):
            run_lock._wait_for_end(tmp_path / "run", "this", is_free=True)


def test_a_run_of_another_machine_that_stands_still_makes_way(fast, tmp_path, capsys):
    forge(tmp_path / "run")
    with run_lock.hold(tmp_path / "run"):
        output = capsys.readouterr().out
    assert "written by process 41 on node7, which started at 2026-01-02" in output
    assert "no longer updates its lock and counts as ended" in output


def test_of_two_that_take_over_at_once_the_later_wins(fast, tmp_path, monkeypatch):
    forge(tmp_path / "run")
    monkeypatch.setattr(run_lock, "STALE_SECONDS", 0)
    monkeypatch.setattr(
        run_lock.time, "sleep", lambda _: forge(tmp_path / "run", token="later")
    )
    with pytest.raises(UserError, match="process 41 on node7"):
        with run_lock.hold(tmp_path / "run"):
            pass


def test_a_run_whose_lock_was_taken_over_stops(fast, tmp_path):
    with run_lock.hold(tmp_path / "run") as lock:
        forge(tmp_path / "run")

        def items():
            while True:
                time.sleep(0.01)
                yield 0

        with pytest.raises(UserError, match="was taken over by process 41 on node7"):
            for _ in run_lock.while_held(lock, items()):
                pass
    assert (tmp_path / "run" / run_lock.FILE).exists()  # That of the other run.


def test_a_damaged_lock_is_that_of_an_unknown_run(fast, tmp_path, capsys):
    (tmp_path / run_lock.FILE).write_text('{"host": ')
    with run_lock.hold(tmp_path):
        assert "an unknown host" in capsys.readouterr().out


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/run: Not a directory"):
        with run_lock.hold(tmp_path / "file" / "run"):
            pass


def test_one_process_sees_what_it_writes(tmp_path):
    shared_disk.check_shared(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def bucket(monkeypatch):
    with buckets.memory_buckets(monkeypatch):
        yield paths.as_path("gs://bucket/run")


def test_a_run_in_a_bucket_is_locked_and_named(fast, bucket):
    with run_lock.hold(bucket):
        with pytest.raises(UserError, match=r"gs://bucket/run is being written by"):
            with run_lock.hold(bucket):
                pass
        assert (bucket / run_lock.FILE).exists()
    assert not (bucket / run_lock.FILE).exists()
    with run_lock.hold(bucket):  # Free again.
        pass


def test_of_two_runs_that_start_at_once_in_a_bucket_one_is_refused(
    fast, bucket, monkeypatch
):
    monkeypatch.setattr(run_lock.time, "sleep", lambda _: forge(bucket, token="later"))
    with pytest.raises(UserError, match="process 41 on node7"), run_lock.hold(bucket):
        pass


def test_a_run_in_a_bucket_that_stands_still_makes_way(fast, bucket):
    forge(bucket)
    with run_lock.hold(bucket):
        found = run_lock._read(bucket)
        assert found is not None and found.token != "token"
