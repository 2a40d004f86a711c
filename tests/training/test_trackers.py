"""Trackers, which receive metrics and pictures of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import buckets

from jaxcorr import files, paths
from jaxcorr.config import TrainConfig
from jaxcorr.errors import UserError
from jaxcorr.provenance import SweepMember
from jaxcorr.training import trackers
from jaxcorr.training.logger import FileLogger
from jaxcorr.training.trackers import TrackedRun, open_trackers

METRICS = {"loss": 2.0, "bpp": 1.0, "psnr_db": 30.0, "correlation": 0.5}


class Recorder:
    """A tracker that keeps what it receives."""

    def __init__(self, run: TrackedRun):
        self.run, self.events, self.is_closed = run, [], False

    def scalars(self, values, *, step, member):
        self.events.append((step, member, dict(values)))

    def images(self, name, images, *, step, member):
        self.events.append((step, member, {name: images.shape}))

    def close(self):
        self.is_closed = True


def refuse(run):
    raise TypeError(f"no token for {run.config['steps']} steps")


def tracked_run(workdir: Path, members: int = 1) -> TrackedRun:
    member = SweepMember(seed=0, distortion_weight=0.01, correlation_weight=0.1)
    return TrackedRun(
        workdir=workdir, start=0, members=(member,) * members, config={"steps": 9}
    )


def log_everything(workdir: Path, opened: list[trackers.Tracker]) -> None:
    pictures = np.full((2, 8, 8, 3), 0.5, np.float32)
    with FileLogger(workdir, start=0, steps=9, members=2, trackers=opened) as log:
        log.log_step(1, {0: METRICS, 1: METRICS}, batch_size=4)
        log.log_held_out(1, 1, METRICS, pictures, pictures)


@pytest.mark.fast
def test_a_tracker_of_any_module_receives_everything(tmp_path):
    names = ("tensorboard", f"{__name__}:Recorder")
    opened = open_trackers(names, tracked_run(tmp_path, members=2))
    assert all(isinstance(tracker, trackers.Tracker) for tracker in opened)
    log_everything(tmp_path, opened)
    recorder = opened[1]
    assert isinstance(recorder, Recorder) and recorder.is_closed
    first, second, evaluated, pictures = recorder.events
    assert first[:2] == (1, 0) and second[:2] == (1, 1)
    assert first[2]["train/loss"] == 2.0 and first[2]["train/step_seconds"] > 0
    assert evaluated[2]["held_out/psnr_db"] == 30.0
    name = "held_out/original_and_reconstruction"
    assert pictures == (1, 1, {name: (2, 8, 16, 3)})
    assert any((tmp_path / "tensorboard" / "member_1").iterdir())


@pytest.mark.fast
def test_a_tracker_that_cannot_be_opened_is_named(tmp_path):
    refused = {
        "no_such_module:Tracker": "no_such_module:Tracker: No module named",
        f"{__name__}:nothing": "has no attribute 'nothing'",
        f"{__name__}:refuse": "refuse: no token for 9 steps",
    }
    for name, message in refused.items():
        with pytest.raises(UserError, match=message):
            open_trackers([name], tracked_run(tmp_path))
    with pytest.raises(UserError, match="log_to must be tensorboard, wandb or MODULE"):
        TrainConfig(log_to=("mlflow",))


@pytest.mark.slow
def test_weights_and_biases_keeps_a_run_over_starts_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for _ in range(2):
        log_everything(tmp_path, open_trackers(["wandb"], tracked_run(tmp_path, 2)))
    identity = (tmp_path / "wandb_id").read_text()
    names = [path.name for path in (tmp_path / "wandb").glob("offline-run-*/*.wandb")]
    assert names == [f"run-{identity}.wandb"] * 2
    (written, *_) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert b"member_1/train/loss" in written.read_bytes()
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    with buckets.memory_buckets(monkeypatch):
        workdir = paths.as_path("gs://bucket/run")
        log_everything(workdir, open_trackers(["wandb"], tracked_run(workdir, 2)))
        uploaded = paths.files_below(workdir / "wandb", ".wandb")
        assert [path.name for path in uploaded] == [
            f"run-{files.read_file(workdir / 'wandb_id').decode()}.wandb"
        ]
        assert b"member_1/train/loss" in files.read_file(uploaded[0])
