"""Runs whose disk is full, and the messages of Orbax that are silenced then."""

import subprocess
import sys
import types

import pytest
from support import compilation
from support.training_runs import ROOT, Runs
from support.waiting import PATIENCE

from jaxcorr.training import orbax_messages


@pytest.mark.fast
def test_only_errors_of_closed_event_loops_are_silenced(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    orbax_messages._ignore_closed_event_loops.__wrapped__()
    errors = RuntimeError("Event loop is closed"), RuntimeError("x"), OSError()
    unraisable = [types.SimpleNamespace(exc_value=error) for error in errors]
    for error in unraisable:
        sys.unraisablehook(error)  # pyright: ignore[reportArgumentType] (a fake)
    assert reported == unraisable[1:]


SCRIPT = """
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
DISKS = {
    # The size decides which part of a checkpoint cannot be written.
    **{
        f"a checkpoint: {size}": {"": ROOMY, "checkpoints": size}
        for size in ("1500k", "1574k", "1833k", "2m")
    },
    "logs: TensorBoard": {"": ROOMY, "tensorboard": "64k"},
    "logs: metrics": {"": "32k", "checkpoints": ROOMY, "tensorboard": ROOMY},
    "held_out/chelsea.png: photographs": {"": ROOMY, "held_out": "64k"},
}
"""Sizes of disks by their folder in the run directory, for each failing write."""


def train_on(sizes, tmp_path, *arguments, keep_programs=False):
    """Trains on small disks, which disappear with the processes that see them.

    Returns:
      Standard error, the exit status, and the step of the newest readable checkpoint.
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
    script = SCRIPT.format(mounts=mounts, train=train, run=run, python=sys.executable)
    try:
        process = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
            env=runs.environment | {"XLA_FLAGS": compilation.flags(devices=1)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        pytest.skip("needs a disk of its own, but there is no unshare")
    if process.returncode == 77 or "unshare" in process.stderr:
        pytest.skip(f"needs a disk of its own: {process.stderr}")
    *_, status, newest = process.stdout.splitlines()
    return (
        process.stderr,
        int(status.removeprefix("status ")),
        int(newest.removeprefix("newest ")),
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", DISKS)
def test_a_full_disk_ends_a_run_in_one_line_and_keeps_the_last_checkpoint(
    tmp_path, case
):
    errors, status, newest = train_on(DISKS[case], tmp_path, "--steps", "300")
    assert (errors.count("\n"), status) == (1, 2), errors
    part, run = case.partition(":")[0], tmp_path / "run"
    where = f"{run}/{part}" if "/" in part else f"{part} in {run}"
    assert errors.startswith(f"jaxcorr: error: cannot write {where}: No space left")
    assert 5 <= newest <= 300 and newest % 5 == 0


@pytest.mark.slow
def test_a_run_continues_without_disk_space_for_its_programs(tmp_path):
    sizes = {"": ROOMY, "programs": "200k"}
    arguments = ("--steps", "10")
    assert train_on(sizes, tmp_path, *arguments, keep_programs=True) == ("", 0, 10)
