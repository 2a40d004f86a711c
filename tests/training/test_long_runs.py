"""Long runs: killed again and again, and out of disk."""

import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from support import compilation
from support.training_runs import PATIENCE, ROOT, Runs, assert_same_run

from jaxcorr.training import orbax_messages

STEPS, KILLS = 1000, 10
LONG = (
    *("--steps", str(STEPS), "--intervals.log-every", "10"),
    *("--intervals.eval-every", "50", "--intervals.checkpoint-every", "50"),
)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tmp_path):
    runs = Runs(tmp_path)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert runs.finish(undisturbed, *LONG)[::2] == (0, "")
    moments = random.Random(0)
    for kill in range(KILLS):
        process = runs.start(killed, *LONG)
        # While it starts, or while it trains, evaluates and saves; always further on.
        if kill % 3:
            wait_for_step(killed, (kill + 1) * STEPS // (KILLS + 2), process)
        time.sleep(moments.uniform(0, 2 if kill % 3 == 0 else 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    status, _, errors = runs.finish(killed, *LONG)
    assert (status, errors) == (0, "")
    assert_same_run(killed, undisturbed, last=STEPS)


def wait_for_step(workdir: Path, step: int, process: subprocess.Popen) -> None:
    log, deadline = workdir / "metrics.jsonl", time.monotonic() + PATIENCE
    while not (log.exists() and f'"step": {step - step % 10},' in log.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.fast
def test_of_errors_in_threads_only_closed_event_loops_go_untold(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    orbax_messages._ignore_closed_event_loops.__wrapped__()
    errors = RuntimeError("Event loop is closed"), RuntimeError("x"), OSError()
    unraisable = [types.SimpleNamespace(exc_value=error) for error in errors]
    for each in unraisable:
        sys.unraisablehook(each)  # pyright: ignore[reportArgumentType] (a stand-in)
    assert told == unraisable[1:]


FULL = """
set -e
{mounts}
set +e
{train} --workdir {run}
echo "status $?"
{python} -c "
from jaxcorr import run_directory
print('newest', run_directory.load('{run}', checkpoint='newest').provenance.step)"
"""

ROOMY = "64m"
FIRST = {
    # What of a checkpoint is refused depends on how much more there is room for.
    **{
        f"a checkpoint: {size}": {"": ROOMY, "checkpoints": size}
        for size in ("1500k", "1574k", "1833k", "2m")
    },
    "logs: TensorBoard": {"": ROOMY, "tensorboard": "64k"},
    "logs: metrics": {"": "32k", "checkpoints": ROOMY, "tensorboard": ROOMY},
    "held_out/chelsea.png: photographs": {"": ROOMY, "held_out": "64k"},
}
"""Sizes of disks, by their place in the run directory, for what meets the end first."""


def train_on(sizes, tmp_path, *arguments, keep_programs=False):
    """A run on small disks, which are gone with the processes that see them.

    Returns:
      What it wrote to standard error, its exit status, and the step of the newest
      checkpoint that is whole.
    """
    runs, run = Runs(tmp_path), tmp_path / "run"
    if keep_programs:
        runs.keep_programs_by_run()
    mounts = "\n".join(
        f"mkdir -p {run / place} && mount -t tmpfs -o size={size} none {run / place} "
        "|| exit 77"
        for place, size in sizes.items()
    )
    train = (
        f"{sys.executable} {ROOT / 'train.py'} {runs.config} --intervals.eval-every 5 "
        "--intervals.checkpoint-every 5 --intervals.max-to-keep 1000 "
        + " ".join(arguments)
    )
    script = FULL.format(mounts=mounts, train=train, run=run, python=sys.executable)
    try:
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
            env=runs.environment | {"XLA_FLAGS": compilation.flags(devices=1)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        pytest.skip("needs a disk of its own, but there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"needs a disk of its own: {done.stderr}")
    *_, status, newest = done.stdout.splitlines()
    return (
        done.stderr,
        int(status.removeprefix("status ")),
        int(newest.removeprefix("newest ")),
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_a_full_disk_ends_a_run_in_one_line_and_keeps_the_last_checkpoint(
    tmp_path, first
):
    said, status, newest = train_on(FIRST[first], tmp_path, "--steps", "300")
    assert (said.count("\n"), status) == (1, 2), said
    what, run = first.partition(":")[0], tmp_path / "run"
    where = f"{run}/{what}" if "/" in what else f"{what} in {run}"
    assert said.startswith(f"jaxcorr: error: cannot write {where}: No space left")
    assert 5 <= newest <= 300 and newest % 5 == 0


@pytest.mark.slow
def test_a_run_goes_on_where_the_disk_has_no_room_for_its_programs(tmp_path):
    sizes = {"": ROOMY, "programs": "200k"}
    arguments = ("--steps", "10")
    assert train_on(sizes, tmp_path, *arguments, keep_programs=True) == ("", 0, 10)
