"""Threads that code images of one canvas share runs of the networks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs

from jaxcorr.bitstream import coding, networks, shared_batches
from jaxcorr.layers.valid_region import ValidRegion, mask, masking


def run_all(function, arguments):
    """Calls a function in a thread for each argument, with the context of this one."""
    with ThreadPoolExecutor(len(arguments)) as pool:
        futures = [pool.submit(copy_context().run, function, x) for x in arguments]
        return [future.result() for future in futures]


def gathering(program, batches, *, others):
    """Returns a network whose first run waits until other threads have come.

    Args:
      program: The network.
      batches: List to which the number of arrays in each run is appended.
      others: Number of threads to wait for.
    """
    has_begun, deadline = threading.Event(), time.monotonic() + 60

    def run(codec, array, region):
        if not has_begun.is_set():
            has_begun.set()
            shared = shared_batches._current.get()
            while shared and sum(map(len, shared._waiting.values())) < others:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        batches.append(len(array))
        return program(codec, array, region)

    return run


def double(codec, array, region):
    with masking(region):
        return 2 * mask(jnp.asarray(array))


def numbered(number, width=3):
    return np.full((1, 2, width, 1), number, np.float32)


def region_of(rows):
    return ValidRegion(rows=np.int32(rows), columns=np.int32(3), canvas=(2, 3))


def run_in_threads(program, requests, *, size, most=100):
    with shared_batches.sharing(size):
        return run_all(
            lambda request: np.asarray(
                shared_batches.run(program, None, *request, most=most)
            ),
            requests,
        )


@pytest.mark.fast
def test_arrays_that_gather_while_a_network_runs_are_its_next_batch():
    batches = []
    program = gathering(double, batches, others=4)
    requests = [(numbered(number), region_of(1 + number % 2)) for number in range(5)]
    outputs = run_in_threads(program, requests, size=3)
    assert batches == [1, 3, 1]
    for number, output in enumerate(outputs):
        expected = 2 * numbered(number)
        expected[:, 1 + number % 2 :] = 0
        np.testing.assert_array_equal(output, expected)


@pytest.mark.fast
def test_a_batch_that_fails_is_run_one_by_one():
    def run(codec, array, region):
        if len(array) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
        return double(codec, array, region)

    batches = []
    requests = [(numbered(number), None) for number in range(4)]
    program = gathering(run, batches, others=3)
    outputs = run_in_threads(program, requests, size=4)
    assert batches == [1, 4, 1, 1, 1]  # One failure is enough.
    for number, output in enumerate(outputs):
        np.testing.assert_array_equal(output, 2 * numbered(number))


@pytest.mark.fast
def test_arrays_of_other_shapes_and_without_sharing_run_alone():
    batches = []
    program = gathering(double, batches, others=0)
    requests = [(numbered(1, width=number), None) for number in range(1, 5)]
    run_in_threads(program, requests, size=4)
    assert batches == [1] * 4
    batches.clear()
    run_in_threads(program, [(numbered(1), None)] * 4, size=4, most=1)
    assert batches == [1] * 4
    alone = shared_batches.run(double, None, numbered(1), None, most=4)
    np.testing.assert_array_equal(alone, 2 * numbered(1))


@pytest.mark.parametrize(
    "transforms",
    ["minnen", *(pytest.param(x, marks=pytest.mark.slow) for x in ("cheng", "swin"))],
)
def test_images_of_one_canvas_are_coded_as_alone(monkeypatch, transforms):
    model = codecs.make_combination(transforms, "none")
    sizes = [(130, 250), (192, 256), (150, 200), (129, 193)]
    pictures = [codecs.blocks(*size) for size in sizes]
    files, expected = [], []
    for picture in pictures:
        files.append(coding.encode(model, picture))
        expected.append(coding.decode(model, files[-1][0])[0])
    batches = []
    for name in ("analyze", "synthesize"):
        program = gathering(getattr(networks, name), batches, others=3)
        monkeypatch.setattr(networks, name, program)
    with shared_batches.sharing(4):
        coded = run_all(lambda picture: coding.encode(model, picture), pictures)
        decoded = run_all(lambda file: coding.decode(model, file[0])[0], files)
    assert batches == [1, 4, 1, 4]
    for (_, latents), (_, alone) in zip(coded, files, strict=True):
        assert np.mean(latents.symbols != alone.symbols) < 1e-3
    for picture, alone in zip(decoded, expected, strict=True):
        assert np.mean(np.abs(picture.astype(int) - alone) > 1) < 0.01
