"""Trackers, which receive metrics and pictures of a run beside its log files.

TensorBoard and Weights & Biases have one each. An object with the methods of `Tracker`
connects any other service.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from jaxcorr.errors import UserError
from jaxcorr.provenance import SweepMember
from jaxcorr.training import factories

TRACKERS = {
    "tensorboard": "jaxcorr.training.tensorboard:TensorBoard",
    "wandb": "jaxcorr.training.weights_and_biases:WeightsAndBiases",
}
"""Factories of trackers, by their names in settings."""


@runtime_checkable  # So that tests can check types.
class Tracker(Protocol):
    """Receives metrics and pictures of a run, in the first process."""

    def scalars(self, values: Mapping[str, float], *, step: int, member: int) -> None:
        """Receives metrics of a member of the sweep; a run of one codec has member 0.

        Args:
          values: Values by name: `train/loss` and others at each log, `held_out/bpp`
            and others at each evaluation.
          step: Steps taken. A run that was killed repeats the steps after its newest
            checkpoint.
          member: Number of the member.
        """
        ...

    def images(
        self, name: str, images: Float[np.ndarray, "n h w 3"], *, step: int, member: int
    ) -> None:
        """Receives pictures with values in [0, 1]; other arguments as in `scalars`."""
        ...

    def close(self) -> None:
        """Is called at the end, also after an error."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """Facts about a run that a tracker may need.

    Attributes:
      workdir: The run directory.
      start: Steps already taken.
      members: Members of the sweep; a run of one codec has one member.
      config: Settings of the run, as JSON.
    """

    workdir: Path
    start: int
    members: tuple[SweepMember, ...]
    config: Mapping[str, Any]


def is_tracker_name(name: str) -> bool:
    """Returns whether settings may name a tracker so."""
    return name in TRACKERS or factories.is_factory_name(name)


def open_trackers(names: Sequence[str], run: TrackedRun) -> list[Tracker]:
    """Opens the trackers that settings name.

    Args:
      names: Names of trackers, or MODULE:FUNCTION for factories that take the run.
      run: The run.

    Raises:
      UserError: If a package is missing, if a factory cannot be imported or called, or
        if the run directory cannot be written.
    """
    try:
        return [factories.call(TRACKERS.get(name, name), run) for name in names]
    except OSError as error:
        reason = error.strerror
        raise UserError(f"cannot write logs in {run.workdir}: {reason}") from error
