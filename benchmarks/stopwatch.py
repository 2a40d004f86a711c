"""Where the seconds of coding go: transforms, context networks, coder."""

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

CODINGS = (passes._Passes, autoregressive._Wavefronts)
CONTEXTS = (passes.PassContext, autoregressive.AutoregressiveContext)
PARTS: dict[str, list[tuple[Any, str]]] = {
    "transforms": [
        (networks, name) for name in ("analyze", "predict_features", "synthesize")
    ],
    "context": [
        *((kind, "start") for kind in CONTEXTS),
        *((kind, name) for kind in CODINGS for name in ("predict", "refine", "update")),
    ],
    "coder": [
        (ReproducibleGrid, "round_means"),
        (ReproducibleGrid, "classes"),
        (RangeEncoder, "encode"),
        (RangeEncoder, "get_bytes"),
        (RangeDecoder, "decode"),
    ],
}
"""What is called for each part of the work."""


@contextlib.contextmanager
def timed(
    parts: Mapping[str, Sequence[tuple[Any, str]]] = PARTS,
) -> Iterator[dict[str, float]]:
    """Adds up the seconds of each part while the block runs.

    Where a function calls another that is timed, those seconds count to the other.

    Args:
      parts: For each name, objects and the names of their functions to time.

    Yields:
      Seconds of each part so far; may be set to 0.
    """
    seconds = dict.fromkeys(parts, 0.0)
    original = []
    inner: list[float] = []
    for part, functions in parts.items():
        for owner, name in functions:
            function = getattr(owner, name)
            original.append((owner, name, function))
            setattr(owner, name, _timed(function, seconds, part, inner))
    try:
        yield seconds
    finally:
        for owner, name, function in original:
            setattr(owner, name, function)


def _timed(
    function: Callable, seconds: dict[str, float], part: str, inner: list[float]
) -> Callable:
    """Times a function; `inner` holds the seconds of timed calls within each call."""

    @functools.wraps(function)
    def call(*arguments, **options):
        inner.append(0.0)
        start = time.perf_counter()
        result = jax.block_until_ready(function(*arguments, **options))
        taken = time.perf_counter() - start
        seconds[part] += taken - inner.pop()
        if inner:
            inner[-1] += taken
        return result

    return call
