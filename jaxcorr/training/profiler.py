"""Traces of the devices during some training steps, for the profiler of TensorBoard."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import jax
from jaxtyping import PyTree

from jaxcorr import paths, serialization
from jaxcorr.errors import require
from jaxcorr.paths import AnyPath

FOLDER = "profile"
"""Folder of a run directory to which traces are written."""


@serialization.stored("Profile")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """Steps of which a profile is taken."""

    steps: Sequence[int] = ()
    """First and last step of a profile, such as `100 105`, which is written to
    `profile` in the run directory. None by default."""

    def __post_init__(self):
        """Checks that there are two ascending steps, or none."""
        object.__setattr__(self, "steps", tuple(self.steps))
        is_range = len(self.steps) == 2 and 1 <= self.steps[0] <= self.steps[1]
        rule = "a first and a last step, counted from 1"
        require(self, "steps", rule, not self.steps or is_range)


class Profiler:
    """Takes a trace of some steps, in every process, on its own devices.

    Use it in a `with` block, which ends a trace that is still being taken.

    Args:
      config: Steps of the trace.
      workdir: The run directory.
    """

    def __init__(self, config: ProfileConfig, workdir: AnyPath):
        self._first, self._last = config.steps or (0, 0)
        self._folder = workdir / FOLDER
        self._is_tracing = False
        # JAX writes traces to disks only.
        self._local: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Profiler":
        """Returns the profiler."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the trace."""
        self._stop()

    def before_step(self, step: int) -> None:
        """Starts a trace if it begins with this step, or before a resumed run."""
        if self._first <= step <= self._last and not self._is_tracing:
            if paths.is_remote(self._folder):
                self._local = tempfile.TemporaryDirectory(prefix="jaxcorr-profile-")
            folder = self._local.name if self._local else str(self._folder)
            jax.profiler.start_trace(folder)
            self._is_tracing = True

    def after_step(self, step: int, results: PyTree) -> None:
        """Waits for the results of the last step of a trace, and ends it."""
        if self._is_tracing and step >= self._last:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        if self._is_tracing:
            self._is_tracing = False
            jax.profiler.stop_trace()
        if self._local:
            paths.upload(Path(self._local.name), self._folder)
            self._local.cleanup()
            self._local = None
