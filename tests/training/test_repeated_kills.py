"""Runs that are killed again and again, or stopped before they begin."""

import random
import signal
import time

import pytest
from support.processes import wait_for_step
from support.training_runs import Runs, assert_same_run

from jaxcorr.errors import START_AGAIN
from jaxcorr.training import checkpoints

STEPS, KILLS = 1000, 10
SETTINGS = (
    "--steps",
    str(STEPS),
    "--intervals.log-every",
    "10",
    "--intervals.eval-every",
    "50",
    "--intervals.checkpoint-every",
    "50",
)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    with Runs(tmp_path) as runs:
        assert runs.finish(undisturbed, *SETTINGS)[::2] == (0, "")
        moments = random.Random(0)
        for kill in range(KILLS):
            process = runs.start(killed, *SETTINGS)
            # Kills it while it starts, trains, evaluates or saves, at later steps.
            if kill % 3:
                step = (kill + 1) * STEPS // (KILLS + 2)
                wait_for_step(killed / "metrics.jsonl", step - step % 10, [process])
            time.sleep(moments.uniform(0, 2 if kill % 3 == 0 else 0.3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        status, _, errors = runs.finish(killed, *SETTINGS)
        assert (status, errors) == (0, "")
        assert_same_run(killed, undisturbed, last=STEPS)


@pytest.mark.slow
def test_sigterm_before_the_first_step_asks_to_start_again(tmp_path):
    workdir = tmp_path / "stopped"
    with Runs(tmp_path) as runs:
        status, output, errors = runs.stop(
            workdir, signal.SIGTERM, (workdir / "writer.json").exists
        )
    assert (status, errors) == (START_AGAIN, "")
    assert "the same command goes on" in output
    assert not (workdir / "writer.json").exists()
    assert checkpoints.latest_step(workdir) == 0
