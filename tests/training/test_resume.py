"""Runs of `train.py` that are stopped or killed, and resumed."""

import dataclasses
import json
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.training_runs import (
    EVERY,
    SPEED,
    STEPS,
    Runs,
    assert_same_run,
    records,
)

from jaxcorr import config_files, images, run_directory, saved_model
from jaxcorr.data import built_in, pipeline, sources
from jaxcorr.errors import START_AGAIN
from jaxcorr.provenance import Provenance
from jaxcorr.training import checkpoints


def count_logged_steps(workdir: Path) -> int:
    """Counts complete lines of a log that is being written."""
    path = workdir / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("runs")) as runs:
        runs.keep_programs_by_run()
        yield runs


@pytest.fixture(scope="module")
def uninterrupted(runs) -> tuple[Path, str]:
    """Run directory and standard output of a run from start to end."""
    workdir = runs.folder / "uninterrupted"
    status, output, errors = runs.finish(workdir)
    assert (status, errors) == (0, "")
    assert any((workdir / "programs").iterdir())
    runs.share_programs(workdir)
    return workdir, output


def test_a_run_logs_every_step(uninterrupted):
    workdir, output = uninterrupted
    logged = records(workdir)
    assert [record["step"] for record in logged] == list(range(1, STEPS + 1))
    required = {"step", "loss", "bpp", "psnr_db", "correlation"}
    required |= SPEED
    assert all(required <= record.keys() for record in logged)
    for step in range(1, STEPS + 1):
        assert f" process 0 of 1: step {step}/{STEPS}: loss " in output
    assert " bpp, " in output and " images/s, " in output and " left\n" in output
    assert any((workdir / "tensorboard").iterdir())


def test_a_run_says_what_made_it(runs, uninterrupted):
    (start,) = start_records(uninterrupted[0])
    assert start["step"] == 0 and start["hosts"] == [socket.gethostname()]
    assert start["devices"] == {"cpu": 1}
    assert start["command"][1:3] == ["train", str(runs.config)]
    assert start["config"] == {"file": str(runs.config.resolve()), "git": None}
    assert start["versions"]["jax"] == jax.__version__
    assert start["environment"]["JAX_PLATFORMS"] == "cpu"
    assert start["settings"]["steps"] == STEPS


def test_a_run_evaluates_on_held_out_crops(uninterrupted):
    evaluated = records(uninterrupted[0], "held_out.jsonl")
    steps = [record["step"] for record in evaluated]
    assert steps == list(range(EVERY, STEPS + 1, EVERY))
    assert all({"bpp", "psnr_db"} <= record.keys() for record in evaluated)


def test_a_run_ends_by_coding_photographs_to_files(uninterrupted):
    workdir, output = uninterrupted
    folder = workdir / "held_out"
    table = json.loads((folder / "table.json").read_text())
    assert (folder / "comparison.png").stat().st_size > 10_000
    for path, row in zip(built_in.held_out_paths(), table["images"], strict=True):
        original, _ = images.read_image(path)
        decoded, _ = images.read_image(folder / f"{path.stem}.png")
        assert decoded.shape == original.shape
        assert (folder / f"{path.stem}.jxc").stat().st_size == row["bytes"]
        assert f"\n{path.name} " in output
    best = run_directory.load(workdir)
    assert table["model"]["fingerprint"] == best.fingerprint.hex()


def test_the_newest_checkpoints_and_the_best_are_kept(uninterrupted):
    workdir, _ = uninterrupted
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    losses = {
        record["step"]: record["rate_distortion"]
        for record in records(workdir, "held_out.jsonl")
    }
    newest = {STEPS, STEPS - EVERY}
    assert kept == newest | {min(losses, key=losses.__getitem__)}
    assert run_directory.load(workdir).provenance.held_out_loss == min(losses.values())


@pytest.mark.slow
def test_a_run_killed_between_checkpoints_resumes_bit_for_bit(runs, uninterrupted):
    workdir = runs.folder / "killed"
    stop_at = 2 * EVERY + 2
    status, *_ = runs.stop(
        workdir, signal.SIGKILL, lambda: count_logged_steps(workdir) >= stop_at
    )
    assert status == -signal.SIGKILL
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')  # A line that was cut off.
    resumed_at = checkpoints.latest_step(workdir)
    assert EVERY <= resumed_at < STEPS
    status, output, errors = runs.finish(workdir)
    assert (status, errors) == (0, "")
    assert f"Resuming from step {resumed_at} of {STEPS}" in output
    assert_same_run(workdir, uninterrupted[0])


def test_a_run_killed_while_saving_resumes_bit_for_bit(runs, uninterrupted):
    workdir = runs.folder / "killed_saving"

    def unfinished() -> list[Path]:
        return list((workdir / "checkpoints").glob(f"{2 * EVERY}.*"))

    status, *_ = runs.stop(workdir, signal.SIGKILL, unfinished)
    assert status == -signal.SIGKILL
    assert unfinished()
    assert checkpoints.latest_step(workdir) == EVERY
    status, output, errors = runs.finish(workdir)
    assert (status, errors) == (0, "")
    assert f"Resuming from step {EVERY} of {STEPS}" in output
    assert not unfinished()
    assert_same_run(workdir, uninterrupted[0])


def test_a_run_stopped_by_sigterm_saves_and_resumes_bit_for_bit(runs, uninterrupted):
    workdir = runs.folder / "stopped"
    result = runs.stop(
        workdir, signal.SIGTERM, lambda: count_logged_steps(workdir) >= EVERY + 1
    )
    assert_stopped(result, workdir, START_AGAIN)
    assert runs.finish(workdir, "--profile.steps", "1", str(STEPS))[0] == 0
    assert_same_run(workdir, uninterrupted[0])
    assert list((workdir / "profile").glob("**/*.xplane.pb"))
    steps = [record["step"] for record in start_records(workdir)]
    assert steps[0] == 0 < steps[1] < STEPS and len(steps) == 2


def test_ctrl_c_saves_a_checkpoint(runs, uninterrupted):
    del uninterrupted  # It has compiled the programs.
    workdir = runs.folder / "interrupted"
    result = runs.stop(workdir, signal.SIGINT, lambda: count_logged_steps(workdir) >= 1)
    assert_stopped(result, workdir, 0)


def start_records(workdir: Path) -> list[dict]:
    paths = sorted((workdir / "starts").iterdir())
    return [json.loads(path.read_text()) for path in paths]


def assert_stopped(
    result: tuple[int, str, str], workdir: Path, expected_status: int
) -> None:
    status, output, errors = result
    saved = checkpoints.latest_step(workdir)
    assert (status, errors) == (expected_status, "")
    assert 1 <= saved < STEPS
    message = f"Stopped after step {saved} and saved a checkpoint; the same command"
    assert message in output
    assert "Photographs" not in output


def test_a_finished_run_only_codes_photographs(runs, uninterrupted):
    workdir, _ = uninterrupted
    before = (workdir / "metrics.jsonl").read_bytes()
    status, output, errors = runs.finish(workdir)
    assert (status, errors) == (0, "")
    assert f"{STEPS} of {STEPS} steps: nothing to train" in output
    assert "Photographs that were not trained on" in output
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_the_directory_of_another_run_is_refused(runs, uninterrupted):
    workdir, _ = uninterrupted
    arguments = ("--sweep.correlation-weight", "0.5", "--steps", "20")
    status, _, errors = runs.finish(workdir, *arguments)
    assert status == 2
    assert errors == (
        f"jaxcorr: error: {workdir} was started with sweep.correlation-weight 0.1, "
        "not 0.5. Use another --workdir, or --sweep.correlation-weight 0.1\n"
    )


def test_a_damaged_state_is_skipped(runs, uninterrupted):
    workdir = runs.folder / "damaged"
    shutil.copytree(uninterrupted[0], workdir)
    truncate(workdir / "checkpoints" / str(STEPS) / "state", "d/*")
    status, output, errors = runs.finish(workdir, "--steps", str(STEPS + 1))
    assert status == 0
    assert f"checkpoint {STEPS} is damaged (" in errors
    assert f"Resuming from step {STEPS - EVERY} of {STEPS + 1}" in output
    assert (workdir / "damaged" / str(STEPS)).is_dir()


def test_a_damaged_model_is_skipped(runs, uninterrupted):
    workdir = runs.folder / "damaged_model"
    shutil.copytree(uninterrupted[0], workdir)
    truncate(workdir / "checkpoints" / str(STEPS) / "models", "*/parameters.*")
    status, output, errors = runs.finish(workdir)
    assert status == 0
    (warning,) = errors.splitlines()
    assert f"checkpoint {STEPS} is damaged (" in warning
    assert f"Resuming from step {STEPS - EVERY} of {STEPS}" in output
    assert_same_run(workdir, uninterrupted[0])


def truncate(folder: Path, pattern: str) -> None:
    paths = list(folder.rglob(pattern))
    assert paths
    for path in paths:
        path.write_bytes(path.read_bytes()[:-100])


def test_a_run_can_start_from_a_pretrained_model(runs, uninterrupted):
    """Starts from a model whose images are black, so that its distortion is known."""
    model = run_directory.load(uninterrupted[0])
    last = "transforms/synthesis/layers/6/"
    black = {
        name: np.zeros_like(model.parameters[last + name])
        for name in ("bias", "kernel")
    }
    changed = {last + name: value for name, value in black.items()}
    pretrained = dataclasses.replace(model, parameters=model.parameters | changed)
    saved_model.write_model(runs.folder / "black", pretrained)
    workdir = runs.folder / "from_black"
    status, _, errors = runs.finish(workdir, "--init-from", str(runs.folder / "black"))
    assert (status, errors) == (0, "")
    data = config_files.load_config(str(runs.config)).data
    batches = pipeline.batches(sources.training_source(data), data)
    expected = np.mean(next(batches).astype(np.float64) ** 2)
    batches.close()
    first, *_, last = (record for record in records(workdir) if "loss" in record)
    np.testing.assert_allclose(first["mse"], expected, rtol=1e-5)
    assert last["mse"] < first["mse"]


def test_a_pretrained_model_of_another_architecture_is_refused(runs, uninterrupted):
    model, workdir = uninterrupted[0], runs.folder / "other"
    arguments = ("--codec.transforms.width", "12", "--init-from", str(model))
    status, _, errors = runs.finish(workdir, *arguments)
    assert status == 2
    assert errors == (
        f"jaxcorr: error: init-from: {model} has codec.transforms.width 8, "
        "but the config has 12\n"
    )
    assert not workdir.exists()


def test_a_loss_that_is_not_finite_stops_the_run_with_one_line(runs, uninterrupted):
    model = run_directory.load(uninterrupted[0])
    parameters = {name: np.full_like(v, np.nan) for name, v in model.parameters.items()}
    broken = dataclasses.replace(model, parameters=parameters)
    saved_model.write_model(runs.folder / "broken", broken)
    workdir = runs.folder / "from_broken"
    arguments = ("--init-from", str(runs.folder / "broken"))
    status, _, errors = runs.finish(workdir, *arguments)
    assert status == 2
    assert errors == (
        "jaxcorr: error: loss or gradient is not finite at step 1; checkpoints before "
        "it are kept. Try a lower optimizer.learning-rate\n"
    )
    assert checkpoints.latest_step(workdir) == 0


def test_the_best_checkpoint_is_kept_across_restarts(tmp_path, uninterrupted):
    model = run_directory.load(uninterrupted[0])
    state = {"kernel": jnp.ones(3)}
    for losses in ({1: 3.0, 2: 1.0, 3: 2.0, 4: 1.5}, {5: 4.0, 6: None, 7: 5.0}):
        with checkpoints.open_checkpoints(tmp_path, max_to_keep=2) as saved:
            for step, loss in losses.items():
                provenance = Provenance(step=step, held_out_loss=loss)
                models = {0: dataclasses.replace(model, provenance=provenance)}
                saved.save(step, state, models, {} if loss is None else {0: loss})
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["2", "6", "7"]
    assert run_directory.load(tmp_path).provenance.step == 2
