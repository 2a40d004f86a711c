"""Measures speed, memory and arithmetic of train steps, also against CompressAI."""

import dataclasses
import functools
import itertools
import subprocess
import time
from collections.abc import Callable
from typing import Any

import blocks
import jax
import sweep as sweep_benchmark
from blocks import Peer

from accelerator_parts import setup
from accelerator_parts.results import Figures, Results
from accelerator_parts.sizes import Sizes
from jaxcorr.errors import UserError

MEMBERS = 4
FIRST, SECOND = "bfloat16", "float32"
PEER_MODELS = {
    "minnen-192-320": "mean-scale",
    "minnen-128-192": "mean-scale",
    "cheng-128-autoregressive": "cheng2020-anchor",
}
"""Names of CompressAI's models by the names here."""
PEER_VARIANTS: dict[str, dict[str, Any]] = {
    "bfloat16 channels-last": {"dtype": "bfloat16", "channels_last": True},
    "bfloat16": {"dtype": "bfloat16"},
    "float32": {"dtype": "float32"},
    "bfloat16 channels-last compiled": {
        "dtype": "bfloat16",
        "channels_last": True,
        "compiled": True,
    },
    "bfloat16 compiled": {"dtype": "bfloat16", "compiled": True},
    "float32 channels-last": {"dtype": "float32", "channels_last": True},
}
"""Variants of torch by name."""


def run(results: Results, sizes: Sizes, *, torch: str | None, **_: Any) -> None:
    """Measures everything, in the order of importance.

    Args:
      results: The figures.
      sizes: Sizes of the measurements.
      torch: Python with torch and CompressAI; None to measure without them.
    """
    for dtype in (FIRST, SECOND):
        rate = functools.partial(blocks.matmul_rate, dtype)
        results.measure(
            f"matrix product, {dtype}",
            lambda rate=rate: {"flops_per_second": rate()},
        )
    first, *others = sizes.measured
    _measure_steps(results, sizes, first, FIRST, sizes.batches)
    _measure_peers(results, sizes, first, torch)
    _measure_shares(results, sizes, first)
    for name in others:
        _measure_steps(results, sizes, name, FIRST, (sizes.batch,))
    for name in others:
        _measure_peers(results, sizes, name, torch)
        _measure_shares(results, sizes, name)
    for name in sizes.measured:
        _measure_steps(results, sizes, name, SECOND, (sizes.batch,))
    for name, dtype in itertools.product(sizes.measured, (FIRST, SECOND)):
        _measure_steps(results, sizes, name, dtype, sizes.batches)


def check_torch(python: str) -> None:
    """Checks that torch and CompressAI can be imported, before any measurement.

    Raises:
      UserError: If one of them, or Python, is missing.
    """
    try:
        done = subprocess.run(
            [python, str(blocks.PEER), "--check"],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stderr.strip().splitlines() if done.returncode else []
    except OSError as error:
        lines = [str(error)]
    if lines:
        raise UserError(
            f"part speed needs torch and CompressAI in {python}, but: {lines[-1]}; "
            "give --torch PYTHON, or --no-torch to measure without them"
        )


def step(
    sizes: Sizes, name: str, dtype: str, batch: int, matrix: Figures | None
) -> Figures:
    """Measures a train step.

    Returns:
      Its figures; or only `out_of_memory`, if the batch does not fit.
    """
    static_config = setup.static_config_of(sizes.models[name], dtype, crop=sizes.crop)
    try:
        block, compiled = blocks.our_block(static_config, batch=batch, crop=sizes.crop)
        (seconds,) = _times(sizes, block)
    except jax.errors.JaxRuntimeError as error:
        if not blocks.is_out_of_memory(error):
            raise
        smaller = [size for size in sizes.batches if size < batch]
        return {"out_of_memory": f"next smaller: {max(smaller, default='none')}"}
    memory = compiled.memory_analysis()
    assert memory is not None
    flops = setup.model_flops(static_config, batch=batch, crop=sizes.crop) / seconds
    figures: Figures = {
        "images_per_second": batch / seconds,
        "seconds_per_step": seconds,
        "model_flops_per_second": flops,
        "mebibytes_per_image": memory.temp_size_in_bytes / 2**20 / batch,
    }
    if matrix is not None:
        figures["of_matrix_product"] = flops / matrix["flops_per_second"]
    return figures


def against(sizes: Sizes, name: str, peer: Peer) -> Figures:
    """Measures the steps of jaxcorr and CompressAI in turns, at a batch that fits both.

    Returns:
      Speeds and their ratio; or the error of `torch.compile` on the model.

    Raises:
      UserError: If no batch fits into memory, or CompressAI fails for another reason.
    """
    static_config = setup.static_config_of(
        sizes.models[name], peer.dtype, crop=sizes.crop, correlation=False
    )

    def measure(batch: int) -> Figures:
        ours, _ = blocks.our_block(static_config, batch=batch, crop=sizes.crop)
        with blocks.peer_block(dataclasses.replace(peer, batch=batch)) as theirs:
            times = _times(sizes, ours, theirs)
        speeds = [batch / seconds for seconds in times]
        return {
            "batch": batch,
            "images_per_second": speeds[0],
            "compressai_images_per_second": speeds[1],
            "ratio": speeds[0] / speeds[1],
        }

    try:
        return largest_fitting(sizes, measure)
    except UserError as error:
        if not peer.compiled:
            raise
        return {"does_not_work": str(error)}


def largest_fitting(sizes: Sizes, measure: Callable[[int], Figures]) -> Figures:
    """Measures at the usual batch size, or at the next smaller one that fits.

    Raises:
      UserError: If no batch fits.
    """
    batches = sorted(
        (size for size in sizes.batches if size <= sizes.batch), reverse=True
    )
    for batch, smaller in zip(batches, [*batches[1:], None], strict=True):
        try:
            return measure(batch)
        except (jax.errors.JaxRuntimeError, UserError) as error:
            if not blocks.is_out_of_memory(error):
                raise
        if smaller is not None:
            print(f"  out of memory at batch {batch}: trying {smaller}")
    raise UserError(
        f"a batch of {batches[-1]} must fit into the memory of the device, but is too "
        "large"
    )


def loss_share(sizes: Sizes, name: str, batch: int) -> Figures:
    """Measures the steps with and without the correlation loss in turns."""
    with_loss, without = (
        blocks.our_block(
            setup.static_config_of(
                sizes.models[name], FIRST, crop=sizes.crop, correlation=correlation
            ),
            batch=batch,
            crop=sizes.crop,
        )[0]
        for correlation in (True, False)
    )
    seconds = _times(sizes, with_loss, without)
    return {
        "batch": batch,
        "seconds_per_step": seconds[0],
        "without": seconds[1],
        "share": 1 - seconds[1] / seconds[0],
    }


def sweep(sizes: Sizes, name: str, batch: int) -> Figures:
    """Measures a sweep and a single run in turns; an image counts once per member."""
    model = sizes.models[name]
    single, _ = blocks.our_block(
        setup.static_config_of(model, FIRST, crop=sizes.crop),
        batch=batch,
        crop=sizes.crop,
    )
    config = setup.sweep_config(
        model, FIRST, members=MEMBERS, batch=batch, crop=sizes.crop
    )
    stepper = sweep_benchmark.stepper(config, in_one_program=setup.members_together())
    seconds = _times(sizes, single, _as_block(stepper))
    speeds = batch / seconds[0], MEMBERS * batch / seconds[1]
    return {
        "batch": batch,
        "members": MEMBERS,
        "images_per_second": speeds[1],
        "alone": speeds[0],
        "ratio": speeds[1] / speeds[0],
    }


def _measure_steps(
    results: Results, sizes: Sizes, name: str, dtype: str, batches: tuple[int, ...]
) -> None:
    matrix = results.figures.get(f"matrix product, {dtype}")
    for batch in batches:
        figure = results.measure(
            f"{name}, {dtype}, batch {batch}",
            functools.partial(step, sizes, name, dtype, batch, matrix),
        )
        if figure and "out_of_memory" in figure:
            break


def _measure_peers(
    results: Results, sizes: Sizes, name: str, torch: str | None
) -> None:
    if torch is None or name not in PEER_MODELS:
        return
    transforms = sizes.models[name].transforms
    for variant in sizes.torch_variants or PEER_VARIANTS:
        peer = Peer(
            python=torch,
            architecture=PEER_MODELS[name],
            width=transforms.width,  # pyright: ignore  # Swin has no width, and no peer.
            channels=transforms.channels,
            batch=sizes.batch,
            crop=sizes.crop,
            **PEER_VARIANTS[variant],
        )
        results.measure(
            f"{name} against CompressAI {variant}",
            functools.partial(against, sizes, name, peer),
        )


def _measure_shares(results: Results, sizes: Sizes, name: str) -> None:
    for label, function in (("loss share", loss_share), ("sweep", sweep)):
        measure = functools.partial(function, sizes, name)
        results.measure(
            f"{name} {label}", functools.partial(largest_fitting, sizes, measure)
        )


def _times(sizes: Sizes, *timed: blocks.Block) -> list[float]:
    return blocks.in_turns(timed, seconds=sizes.block_seconds, rounds=sizes.rounds)


def _as_block(stepper: Callable[[], None]) -> blocks.Block:
    def block(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            stepper()
        return time.perf_counter() - start

    return block
