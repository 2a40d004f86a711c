"""The next batch moves while a step runs, and only idle devices wait for it."""

import json
import threading
import time

import jax.numpy as jnp
import pytest

from jaxcorr.training.batch_transfer import BatchTransfer
from jaxcorr.training.logger import FileLogger

pytestmark = pytest.mark.fast


class RunningStep:
    """Results of a step that takes some seconds from now on."""

    def __init__(self, seconds: float = 0.0):
        self.end = time.perf_counter() + seconds
        self.was_awaited = False

    def block_until_ready(self) -> "RunningStep":
        self.was_awaited = True
        time.sleep(max(0.0, self.end - time.perf_counter()))
        return self


def slow_batches(*seconds: float):
    for number, pause in enumerate(seconds):
        time.sleep(pause)
        yield jnp.array(number)


def test_batches_come_in_their_order_and_end():
    with BatchTransfer(slow_batches(0, 0, 0)) as transfer:
        assert [int(transfer.take(None)[0]) for _ in range(3)] == [0, 1, 2]


def test_the_next_batch_is_read_before_it_is_taken():
    was_read = threading.Event()

    def batches():
        yield jnp.array(0)
        was_read.set()
        yield jnp.array(1)

    with BatchTransfer(batches()) as transfer:
        transfer.take(None)
        assert was_read.wait(5)


def test_idle_time_until_a_batch_is_there_is_a_wait():
    with BatchTransfer(slow_batches(0, 0.2)) as transfer:
        transfer.take(None)
        _, waited = transfer.take(RunningStep())
    assert 0.1 < waited < 0.25


def test_time_in_which_a_step_runs_is_not_a_wait():
    with BatchTransfer(slow_batches(0, 0.05)) as transfer:
        transfer.take(None)
        _, waited = transfer.take(RunningStep(0.3))
    assert waited < 0.02


def test_a_batch_that_is_there_is_not_waited_for():
    with BatchTransfer(slow_batches(0, 0)) as transfer:
        transfer.take(None)
        time.sleep(0.1)
        running = RunningStep()
        assert transfer.take(running)[1] == 0
    assert not running.was_awaited


def test_no_more_than_two_steps_are_under_way():
    with BatchTransfer(slow_batches(0, 0, 0, 0)) as transfer:
        steps = [RunningStep(), RunningStep()]
        transfer.take(None)
        for step in steps:
            time.sleep(0.05)  # The batch is there.
            transfer.take(step)
        assert [step.was_awaited for step in steps] == [True, False]


def test_an_error_of_reading_is_raised_where_the_batch_is_taken():
    def batches():
        yield jnp.array(0)
        raise OSError("the disk is gone")

    with BatchTransfer(batches()) as transfer:
        transfer.take(None)
        with pytest.raises(OSError, match="the disk is gone"):
            transfer.take(None)


def test_the_share_of_time_without_data_is_logged(tmp_path, capsys):
    metrics = {"loss": 1.0, "bpp": 1.0, "psnr_db": 1.0, "correlation": 1.0}
    with FileLogger(tmp_path, start=0, steps=9) as log:
        log.log_data_wait(5.0)
        log.restart_timer(1)  # Excludes what came before, such as compilation.
        start = time.perf_counter()
        time.sleep(0.1)
        log.log_data_wait(0.03)
        log.log_data_wait(0.02)
        log.log_step(2, {0: metrics}, batch_size=4)
        elapsed = time.perf_counter() - start
        log.log_step(3, {0: metrics}, batch_size=4)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert 0.05 / elapsed - 0.001 <= first["data_wait"] <= 0.501
    assert second["data_wait"] == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert f", {first['data_wait']:.0%} data wait, " in line
