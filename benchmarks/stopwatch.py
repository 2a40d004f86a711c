"""Divides the time of coding between transforms, context networks and coder."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from jaxcorr.bitstream import networks
from jaxcorr.bitstream.grid import ReproducibleGrid
from jaxcorr.bitstream.range_coder import RangeDecoder, RangeEncoder
from jaxcorr.context import autoregressive, passes
from jaxcorr.context.base import CodingState

CONTEXT_MODELS = (passes.PassContext, autoregressive.AutoregressiveContext)
CODING_STATES = tuple(CodingState.__subclasses__())
"""The states of these context models, which are private to their modules."""

NETWORKS = ("analyze", "analyze_latents", "predict_features", "synthesize")
TIMED_FUNCTIONS: dict[str, list[tuple[Any, str]]] = {
    "transforms": [(networks, name) for name in NETWORKS],
    "context": [
        *((kind, "begin_coding") for kind in CONTEXT_MODELS),
        *((kind, name) for kind in CODING_STATES for name in ("predict", "refine")),
    ],
    "coder": [
        (ReproducibleGrid, "round_means"),
        (ReproducibleGrid, "classes"),
        (RangeEncoder, "encode"),
        (RangeEncoder, "get_bytes"),
        (RangeDecoder, "decode"),
    ],
}
"""Functions of each part of coding: objects and names of their attributes."""


@contextlib.contextmanager
def timed(
    parts: Mapping[str, Sequence[tuple[Any, str]]] = TIMED_FUNCTIONS,
) -> Iterator[dict[str, float]]:
    """Sums the seconds of each part while the `with` block runs.

    Where a timed function calls another timed function, the time counts to the other.

    Args:
      parts: Functions to time by the name of their part: objects and attribute names.

    Yields:
      Seconds of each part so far; may be reset to 0.
    """
    seconds = dict.fromkeys(parts, 0.0)
    originals = []
    inner: list[float] = []
    for part, functions in parts.items():
        for owner, name in functions:
            function = getattr(owner, name)
            originals.append((owner, name, function))
            setattr(owner, name, _timed(function, seconds, part, inner))
    try:
        yield seconds
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def _timed(
    function: Callable, seconds: dict[str, float], part: str, inner: list[float]
) -> Callable:
    """Times a function; `inner` is a stack of the seconds of timed inner calls."""

    @functools.wraps(function)
    def call(*arguments, **options):
        inner.append(0.0)
        start = time.perf_counter()
        result = jax.block_until_ready(function(*arguments, **options))
        elapsed = time.perf_counter() - start
        seconds[part] += elapsed - inner.pop()
        if inner:
            inner[-1] += elapsed
        return result

    return call
