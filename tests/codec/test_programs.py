"""Compiled programs are kept for few sizes of images."""

import threading
from typing import Any

import jax
import numpy as np
import pytest
from support.codecs import blocks

from jaxcorr import programs
from jaxcorr.bitstream import networks
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.learned import LearnedCodec


def count(function: Any) -> int:
    """Returns the number of programs of a jitted function."""
    return function._cache_size()


@pytest.mark.fast
def test_a_size_too_many_frees_programs_but_none_of_the_caller(monkeypatch):
    monkeypatch.setattr(programs, "LIMIT", 2)
    monkeypatch.setattr(programs, "_functions", [])
    monkeypatch.setattr(programs, "_first_uses", {})
    function = programs.forgotten(jax.jit(lambda x: x + 1))
    own = jax.jit(lambda x: x - 1)
    counts, before = [], programs.generation()
    for size in (1, 2, 1, 2, 3, 4, 1):
        with programs.kept_for(size, "encode"):
            function(np.zeros(size))
            own(np.zeros(size))
        counts.append(count(function))
    assert counts == [1, 2, 2, 2, 1, 2, 1]
    assert count(own) == 4
    assert programs.generation() == before + 2


@pytest.mark.fast
def test_the_first_use_of_a_size_runs_alone(monkeypatch):
    monkeypatch.setattr(programs, "_first_uses", {})
    entered, leave = threading.Semaphore(0), threading.Event()

    def use():
        with programs.kept_for("size", "encode"):
            entered.release()
            leave.wait(60)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=60) and not entered.acquire(timeout=0.1)
    leave.set()
    assert entered.acquire(timeout=60) and entered.acquire(timeout=60)
    for thread in threads:
        thread.join()


def test_evaluation_keeps_the_programs_of_few_sizes(tiny_model, monkeypatch):
    monkeypatch.setattr(programs, "LIMIT", 1)
    monkeypatch.setattr(programs, "_first_uses", {"of another test": {}})
    codec, live = LearnedCodec(tiny_model), []
    # Of the second canvas twice, with other numbers of latents.
    for size in ((30, 40), (170, 180), (200, 250), (30, 40), (130, 150)):
        measure.measure_image(codec, blocks(*size), "x.png")
        live.append(len(jax.devices()[0].client.live_executables()))
        assert count(networks.analyze) == 1
    assert live[1] == live[2] == live[4]
