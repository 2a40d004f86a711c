"""Implementations of the range coder, and the choice of one.

All write the same streams and read the same symbols, and differ in speed. The first
whose package can be imported codes, unless the environment variable
`JAXCORR_RANGE_CODER` names another:

| name           | what codes                                         |
| -------------- | -------------------------------------------------- |
| `constriction` | constriction; it has no wheel for Linux on aarch64 |
| `numba`        | `interval_coder`, which Numba compiles             |
| `python`       | `interval_coder`, in plain Python                  |
"""

import contextlib
import functools
import importlib.metadata
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt32

from jaxcorr.bitstream import interval_coder, interval_loops
from jaxcorr.bitstream.interval_loops import Loops
from jaxcorr.errors import UserError

VARIABLE = "JAXCORR_RANGE_CODER"
"""Environment variable that names an implementation."""


class CoderImplementation(NamedTuple):
    """Classes that code, with the interface of constriction's `stream`.

    Attributes:
      name: Name and version.
      encoder: Makes an encoder.
      decoder: Makes a decoder of words.
      categorical: Makes the model of a table from its counts, which sum to 2**24.
      uniform: Model of numbers below a size, which accompanies each of them.
      impossible: Error of a decoder of words that no symbols encode to.
    """

    name: str
    encoder: Callable[[], Any]
    decoder: Callable[[UInt32[np.ndarray, " words"]], Any]
    categorical: Callable[[UInt32[np.ndarray, " n"]], Any]
    uniform: Any
    impossible: type[Exception]


def choose() -> CoderImplementation:
    """Returns the implementation that `JAXCORR_RANGE_CODER` names, or the fastest.

    Raises:
      UserError: If the variable names none, or one that cannot be imported.
    """
    name = os.environ.get(VARIABLE) or _fastest()
    if name not in LOADERS:
        raise UserError(
            f"{VARIABLE} must be constriction, numba or python, but is {name}"
        )
    try:
        return LOADERS[name]()
    except ImportError as error:
        raise UserError(
            f"{VARIABLE} is {name}, which cannot be imported ({error}); unset it to "
            "use the fastest that can"
        ) from error


def installed() -> Iterator[str]:
    """Yields the names of the implementations that can be imported, fastest first."""
    for name, load in LOADERS.items():
        with contextlib.suppress(ImportError):
            load()
            yield name


@functools.cache
def _fastest() -> str:
    return next(installed())


@functools.cache
def _constriction() -> CoderImplementation:
    from constriction import stream  # pyright: ignore  # Compiled, without stubs.

    def categorical(counts: UInt32[np.ndarray, " n"]) -> Any:
        # Constriction turns probabilities p into counts 1 + p * (2**24 - entries) /
        # sum(p). Given counts minus 1, which sum to 2**24 - entries, it arrives at the
        # counts.
        return stream.model.Categorical(counts.astype(np.float64) - 1, perfect=False)

    return CoderImplementation(
        name=f"constriction {importlib.metadata.version('constriction')}",
        encoder=stream.queue.RangeEncoder,
        decoder=stream.queue.RangeDecoder,
        categorical=categorical,
        uniform=stream.model.Uniform(),
        impossible=AssertionError,
    )


@functools.cache
def _numba() -> CoderImplementation:
    loops = interval_loops.compiled_loops()
    return _ours(f"numba {importlib.metadata.version('numba')}", loops)


@functools.cache
def _python() -> CoderImplementation:
    return _ours("python", interval_loops.PYTHON)


def _ours(name: str, loops: Loops) -> CoderImplementation:
    return CoderImplementation(
        name=name,
        encoder=functools.partial(interval_coder.Encoder, loops=loops),
        decoder=functools.partial(interval_coder.Decoder, loops=loops),
        categorical=functools.partial(interval_coder.Categorical, loops=loops),
        uniform=interval_coder.Uniform(loops=loops),
        impossible=ArithmeticError,
    )


LOADERS = {"constriction": _constriction, "numba": _numba, "python": _python}
"""Implementations by name, fastest first; each raises ImportError if it is missing."""
