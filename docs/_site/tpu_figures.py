"""Figures of training steps that were compiled for TPUs, and of what they would take.

They are computed from `benchmarks/tpu_aot` with the functions of
`benchmarks/roofline.py`.
"""

import functools
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from computed_figures import ROOT, Block

from jaxcorr.report.tables import Table

sys.path.append(str(ROOT / "benchmarks"))

import roofline

RESULTS = ROOT / "benchmarks" / "tpu_aot"
SOURCE = "Printed by `python benchmarks/tpu_aot.py --print-only`; nothing was run."
LABELS = {
    "minnen 192/320": "Minnen 192/320",
    "cheng 192": "Cheng 192",
    "swint M": "SwinT M",
}
"""Names of models in the tables, in their order there."""
PARAMETERS = {"data": "on every chip", "fsdp": "split (FSDP)"}
"""Names of shardings in the tables, in their order there."""
MAIN = {"model": "minnen 192/320", "batch": 16, "dtype": "bfloat16", "sharding": "data"}
"""The model of the tables of forms and pods."""

DEFAULTS = {"chips": 8, "implementations": "tpu", "rematerialization": "none"}
"""Settings of a step that a table need not name."""

Result = dict[str, Any]


def forms() -> Block:
    """Returns what a step takes with implementations of layers for TPUs and others."""
    results = {
        "forms for other devices": _result(**MAIN, implementations="other"),
        "for TPUs, without phases": _result(**MAIN, implementations="plain"),
        "for TPUs": _result(**MAIN),
    }
    rows = {
        "memory traffic an image (MB)": lambda x: f"{_per_image(x):.0f}",
        "arithmetic an image (GFLOP)": lambda x: f"{x['flops'] / x['batch'] / 1e9:.1f}",
        "the longer of arithmetic and memory, at peak (ms)": lambda x: _ms(
            max(roofline.bounds(x)[:2])
        ),
        "compiler's estimate (ms)": lambda x: _ms(roofline.compiler_seconds(x)),
    }
    return _block(
        ("Minnen 192/320, bfloat16, 16 crops of 256x256 a chip", *results),
        [(name, *map(cell, results.values())) for name, cell in rows.items()],
    )


def chips() -> Block:
    """Returns what a step takes on each of eight chips, and the largest batch."""
    rows = []
    for result in _steps():
        arithmetic, memory, links = roofline.bounds(result)
        estimate = roofline.compiler_seconds(result) or math.nan
        slow, fast = (
            result["batch"] / seconds
            for seconds in (estimate, roofline.predicted_seconds(result))
        )
        half = _find(**{key: result[key] for key in (*MAIN, "chips")} | {"batch": 8})
        largest = "" if half is None else str(roofline.largest_batch(result, half))
        times = map(_ms, (arithmetic, memory, links, estimate))
        gigabytes = f"{roofline.occupied(result) / 1e9:.1f}"
        speed = f"{slow:.0f} to {fast:.0f}"
        rows.append((*_names(result), *times, speed, gigabytes, largest))
    columns = (
        *("model", "type", "parameters", "arithmetic (ms)", "memory (ms)"),
        *("links (ms)", "compiler's estimate (ms)", "images/s a chip"),
        *("memory held (GB)", "largest batch a chip"),
    )
    return _block(columns, rows)


def utilization() -> Block:
    """Returns the share of the arithmetic in bounds and estimate of a step."""
    rows = []
    for result in _steps():
        alike = {key: result[key] for key in (*MAIN, "chips")}
        useful = _find(**alike, implementations="plain") or result
        if "minnen" in result["model"] and useful is result:
            continue  # Its arithmetic without zeros was not compiled.
        arithmetic = roofline.bounds(useful)[0]
        totals = (
            max(roofline.bounds(result)[:2]),
            roofline.predicted_seconds(result),
            roofline.compiler_seconds(result) or math.nan,
        )
        shares = (f"{100 * arithmetic / seconds:.0f} %" for seconds in totals)
        rows.append((*_names(result), *shares))
    columns = (
        *("model", "type", "parameters", "of the longer bound"),
        *("of bound and communication", "of the compiler's estimate"),
    )
    return _block(columns, rows)


def batches() -> Block:
    """Returns what a step takes with batches of several sizes."""
    rows = []
    for batch in (8, 16, 32):
        result = _find(**MAIN | {"batch": batch})
        if result is not None:
            seconds = roofline.compiler_seconds(result) or math.nan
            gigabytes = f"{roofline.occupied(result) / 1e9:.1f}"
            rows.append(
                (str(batch), _ms(seconds), f"{1e3 * seconds / batch:.2f}", gigabytes)
            )
    columns = ("images a chip", "compiler's estimate (ms)", "for an image (ms)")
    return _block((*columns, "memory held (GB)"), rows)


def rematerialization() -> Block:
    """Returns what a step takes if activations are computed again."""
    rows = []
    for model in LABELS:
        for kind in ("none", "transforms", "all"):
            settings = MAIN | {"model": model, "rematerialization": kind}
            result = _find(**settings)
            if result is not None:
                rows.append(
                    (
                        LABELS[model],
                        kind,
                        f"{roofline.occupied(result) / 1e9:.1f}",
                        f"{result['flops'] / result['batch'] / 1e9:.0f}",
                        f"{_per_image(result):.0f}",
                        _ms(roofline.compiler_seconds(result)),
                    )
                )
    columns = (
        *("model", "computed again", "memory held (GB)", "arithmetic an image (GFLOP)"),
        *("memory traffic an image (MB)", "compiler's estimate (ms)"),
    )
    return _block(columns, rows)


def scaling() -> Block:
    """Returns the speed of pods, at 16 images a chip."""
    pods = [_result(**MAIN, chips=count) for count in (8, 64, 256)]

    def speed(result: Result) -> float:
        images = result["chips"] * result["batch"]
        return images / roofline.predicted_seconds(result)

    rows = [
        (
            str(pod["chips"]),
            f"{sum(x['bytes'] for x in pod['collectives'].values()) / 1e6:.0f}",
            f"{1e3 * roofline.bounds(pod)[2]:.2f}",
            f"{speed(pod):.0f}",
            f"{speed(pod) / speed(pods[0]):.1f}",
        )
        for pod in pods
    ]
    columns = ("chips", "communication a step (MB)", "links (ms)", "images/s")
    return _block((*columns, "of 8 chips (times)"), rows)


FIGURES = {
    "tpu_forms": forms,
    "tpu_batches": batches,
    "tpu_chips": chips,
    "tpu_utilization": utilization,
    "tpu_rematerialization": rematerialization,
    "tpu_scaling": scaling,
}
"""Blocks of the pages, by name."""


def _steps() -> list[Result]:
    """Returns the steps of 16 images a chip on eight chips."""
    return [
        result
        for dtype in ("bfloat16", "float32")
        for sharding in PARAMETERS
        for model in LABELS
        if (result := _find(model=model, batch=16, dtype=dtype, sharding=sharding))
    ]


def _result(**settings: Any) -> Result:
    """Returns the step with some settings."""
    found = _find(**settings)
    assert found is not None
    return found


def _find(**settings: Any) -> Result | None:
    """Returns the step with some settings, if it was compiled."""
    wanted = DEFAULTS | settings
    found = (DEFAULTS | result for result in _results())
    return next((x for x in found if wanted.items() <= x.items()), None)


@functools.cache
def _results() -> list[Result]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def _names(result: Result) -> tuple[str, str, str]:
    return LABELS[result["model"]], result["dtype"], PARAMETERS[result["sharding"]]


def _block(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Block:
    """Returns figures that are predicted for TPUs."""
    table = Table(columns=tuple(columns), rows=tuple(rows))
    return Block(table=table, source=SOURCE)


def _per_image(result: Result) -> float:
    return result["memory_traffic"] / result["batch"] / 1e6


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.1f}"
