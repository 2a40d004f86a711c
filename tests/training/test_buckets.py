"""Runs in buckets, on emulators of Google Cloud Storage and S3."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import buckets
from support.buckets import BUCKET
from support.paths import ROOT
from support.processes import finish, start_two
from support.training_runs import Runs, assert_same_run, records
from support.waiting import wait_until

from jaxcorr import config_files, files, paths, run_directory, train_states
from jaxcorr.cli import main
from jaxcorr.config import with_changes
from jaxcorr.data import folder
from jaxcorr.data.array_record_reader import ArrayRecordReader
from jaxcorr.data.tfds_reader import TFDSReader
from jaxcorr.errors import UserError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Sending a large body"),  # By gcsfs.
]

STEPS = 20
SETTINGS = ("--steps", str(STEPS))
MARKER = "commit_success.txt"
"""Name of the file by which Orbax marks a complete checkpoint in a bucket."""


def complaints(errors: str) -> list[str]:
    """Returns the lines of standard error but those on credentials of the emulator."""
    return [line for line in errors.splitlines() if "google_auth" not in line]


@pytest.fixture(scope="module")
def bucket():
    """Folder of the disk where the emulator keeps the objects of the bucket."""
    with buckets.google_emulator() as (folder, _):
        yield Path(folder) / BUCKET


@pytest.fixture(scope="module")
def runs(bucket, tmp_path_factory):
    """Runs whose home, temporary folder and working directory are empty folders."""
    runs = Runs(tmp_path_factory.mktemp("buckets"))
    for name in ("HOME", "TMPDIR"):
        folder = tmp_path_factory.mktemp(name.lower())
        runs.environment[name] = str(folder)
    # Matplotlib keeps a list of fonts.
    runs.environment["MPLCONFIGDIR"] = str(tmp_path_factory.mktemp("matplotlib"))
    runs.environment["XDG_CACHE_HOME"] = f"{runs.environment['HOME']}/caches"
    return runs


@pytest.fixture(scope="module")
def alone(runs, tmp_path_factory) -> Path:
    """The run on a disk, whose compiled programs no other run uses."""
    workdir = tmp_path_factory.mktemp("disk") / "alone"
    ((status, _, errors),) = finish([runs.start(workdir, *SETTINGS)])
    assert (status, complaints(errors)) == (0, [])
    runs.keep_programs_by_run()
    return workdir


@pytest.fixture(scope="module")
def killed(runs, bucket, alone):
    """A run in the bucket that was killed while it saved, and then finished."""
    workdir = paths.as_path(f"gs://{BUCKET}/killed")
    saving = bucket / "killed" / "checkpoints" / "9"
    stopped = runs.stop(
        workdir,
        signal.SIGKILL,
        lambda: saving.exists() and not (saving / MARKER).exists(),
    )
    assert stopped[0] == -signal.SIGKILL, stopped
    assert saving.exists() and not (saving / MARKER).exists()
    assert list(run_directory.checkpoint_directories(workdir))[-1] == 6
    assert "/6/models/" in str(run_directory.find(workdir, "newest"))
    profile = ("--profile.steps", "8", "9")
    ((status, output, errors),) = finish([runs.start(workdir, *SETTINGS, *profile)])
    assert (status, complaints(errors)) == (0, [])
    assert f"Resuming from step 6 of {STEPS} in gs://{BUCKET}/killed" in output
    return workdir


def test_a_run_that_was_killed_while_it_saved_goes_on_bit_for_bit(killed, alone):
    assert_same_run(killed, alone, last=STEPS)


def test_everything_of_a_run_is_in_the_bucket_and_nothing_on_the_disk(
    killed, bucket, runs
):
    assert [path.name for path in runs.folder.iterdir()] == [runs.config.name]
    for name in ("HOME", "TMPDIR"):
        assert list(Path(runs.environment[name]).iterdir()) == []
    assert not Path("/gs").exists()
    run = bucket / "killed"
    for pattern, least in {
        "checkpoints/20/commit_success.txt": 1,
        "held_out/comparison.png": 1,
        "held_out/*.jxc": 2,
        "images.json": 1,
        "profile/**/*.xplane.pb": 1,
        "programs/*": 10,
        "starts/*.json": 2,
        "tensorboard/events*": 2,
    }.items():
        found = [path for path in run.glob(pattern) if path.stat().st_size]
        assert len(found) >= least, pattern


def test_a_model_in_a_bucket_is_evaluated_and_trained_on(killed, runs, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    path = paths.as_path(f"gs://{BUCKET}/images/a.png")
    Image.fromarray(image).save(tmp_path / "a.png")
    files.write_file(path, (tmp_path / "a.png").read_bytes())
    results = f"gs://{BUCKET}/results.json"
    command = ["evaluate", f"gs://{BUCKET}/images", "-m", str(killed)]
    main.run([*command, "--json", results])
    found = json.loads(files.read_file(paths.as_path(results)))
    assert found["images"][0]["file"] == "a.png"
    assert found["model"]["step"] in (18, STEPS)
    config = with_changes(
        config_files.load_config(str(runs.config)), {"init_from": str(killed)}
    )
    initial = train_states.read_initial(config)
    best = run_directory.load(killed).parameters
    for name, value in (initial.parameters or {}).items():
        np.testing.assert_array_equal(value, best[name])


def test_images_and_tiles_in_a_bucket_are_data(bucket, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    path = paths.as_path(f"gs://{BUCKET}/photographs/deep/a.png")
    files.write_file(path, (tmp_path / "a.png").read_bytes())
    opened = folder.open_folder(path.parent.parent, crop_size=64)
    np.testing.assert_array_equal(opened[0], image)
    tiles = f"gs://{BUCKET}/tiles"
    sources = [f"gs://{BUCKET}/photographs", "-o", tiles]
    main.run(["prepare", *sources, "--tile", "64", "--workers", "1"])
    reader = ArrayRecordReader(paths.as_path(tiles))
    assert len(reader) == 4
    np.testing.assert_array_equal(reader[0], image[:48, :64])
    data_set = ["--data-dir", f"gs://{BUCKET}/tfds", "--name", "photographs"]
    main.run(["prepare", *sources[:1], *data_set])
    reader = TFDSReader(
        "photographs", split="train", directory=f"gs://{BUCKET}/tfds", feature=None
    )
    assert len(reader) == 1
    np.testing.assert_array_equal(reader[0], image)


def test_two_processes_share_a_bucket(runs, bucket, alone):
    workdir = paths.as_path(f"gs://{BUCKET}/two")
    ended = finish(start_two(runs, [workdir] * 2, "--steps", "6", devices=1))
    assert [status for status, _, _ in ended] == [0, 0], ended
    both, one = ([row["loss"] for row in records(run)] for run in (workdir, alone))
    np.testing.assert_allclose(both, one[:6], rtol=1e-5)
    assert list(run_directory.checkpoint_directories(workdir)) == [3, 6]


def test_a_second_run_in_a_folder_of_a_bucket_is_refused(runs, bucket, alone):
    workdir = paths.as_path(f"gs://{BUCKET}/locked")
    first = runs.start(workdir, "--steps", "100000")
    wait_until((bucket / "locked" / "writer.json").exists, first)
    ((status, _, errors),) = finish([runs.start(workdir, *SETTINGS)])
    assert status == 2
    assert f"locked is being written by process {first.pid} on " in errors
    first.kill()
    finish([first])


@pytest.fixture(scope="module")
def s3():
    with buckets.s3_emulator():
        yield paths.as_path(f"s3://{BUCKET}")


def test_models_images_and_results_live_in_s3(s3, model_path, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    files.write_file(
        s3 / "images" / "deep" / "a.png", (tmp_path / "a.png").read_bytes()
    )
    np.testing.assert_array_equal(
        folder.open_folder(s3 / "images", crop_size=64)[0], image
    )
    main.run(["pack", str(model_path), "-o", f"s3://{BUCKET}/model"])
    names = ("images", "-m", "model", "-o", "coded/")
    urls = [n if n.startswith("-") else f"s3://{BUCKET}/{n}" for n in names]
    main.run(["compress", *urls])
    assert [str(path) for path in paths.files_below(s3 / "coded")] == [
        f"s3://{BUCKET}/coded/deep/a.jxc"
    ]
    main.run(["evaluate", *urls[:3], "--json", f"s3://{BUCKET}/results.json"])
    found = json.loads(files.read_file(s3 / "results.json"))
    assert found["images"][0]["file"] == "deep/a.png"
    with pytest.raises(UserError, match=r"^s3://bucket/t must be on a disk or begin"):
        main.run(["prepare", urls[0], "-o", f"s3://{BUCKET}/t"])
    with pytest.raises(UserError, match=r"^s3://absent/x cannot be written: no such o"):
        files.write_file(paths.as_path("s3://absent/x"), b"")


def test_orbax_cannot_write_arrays_to_s3(s3, tmp_path):
    """The reason why `check_storage` refuses S3: once this fails, it need not."""
    code = """
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jaxcorr import paths
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(paths.as_path("s3://bucket/state"), {"x": jnp.ones(3)})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,  # Orbax makes a folder `s3:` here.
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "Checkpoint path should be absolute. Got s3:/bucket/state" in last
