"""Checkpoints of a run: the train state and a model folder, written together.

A run directory holds `checkpoints/STEP/state`, which training resumes from, and
`checkpoints/STEP/models/MEMBER`, the model folders that everything else reads; a run
that is no sweep has member 0 alone. A checkpoint appears under its name only when all
of it is on disk. One that lost bytes since is set aside, and the one before it serves.
"""

import contextlib
import dataclasses
import errno
import functools
import logging
import math
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from jaxcorr import run_directory, saved_model, serialization
from jaxcorr.errors import UserError, require
from jaxcorr.run_directory import CHECKPOINTS, MODELS
from jaxcorr.saved_model import Model
from jaxcorr.training import distributed

logger = logging.getLogger(__name__)

STATE = "state"
DAMAGED = "damaged"
"""Folder of a run to which checkpoints that cannot be read are moved."""


class _ModelsHandler(ocp.CheckpointHandler):
    """Lets Orbax write model folders as part of a checkpoint."""

    def save(self, directory: epath.Path, args: "_SaveModels") -> None:
        """Writes those that this process has: the first process has them all."""
        for number, model in args.models.items():
            folder = Path(directory) / str(number)
            folder.mkdir()
            saved_model.write_model_files(folder, model)

    def restore(self, directory: epath.Path, args: Any = None) -> dict[int, Model]:
        """Reads the model folders back."""
        del args
        return {
            int(folder.name): saved_model.read_model(folder)
            for folder in Path(directory).iterdir()
        }


@ocp.args.register_with_handler(_ModelsHandler, for_save=True, for_restore=True)
@dataclasses.dataclass
class _SaveModels(ocp.args.CheckpointArgs):
    models: Mapping[int, Model] = dataclasses.field(default_factory=dict)


@serialization.stored("Cadence")
@dataclasses.dataclass(frozen=True, kw_only=True)
class IntervalConfig:
    """How often a run is looked at and saved, in steps."""

    log_every: int = 20
    """Steps between lines of `metrics.jsonl`."""
    eval_every: int = 1000
    """Steps between evaluations on held-out crops."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; each is preceded by an evaluation."""
    max_to_keep: int = 3
    """Newest checkpoints that are kept, beside the best."""

    def __post_init__(self):
        """Checks that every interval is one step at least."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(self, field.name, "at least 1", value >= 1)


def latest_step(workdir: Path) -> int:
    """Step of the newest checkpoint of a run, 0 without any.

    A checkpoint whose models cannot be read is set aside first, with a warning.
    """
    for step, folder in reversed(run_directory.checkpoint_directories(workdir).items()):
        try:
            models = run_directory.member_directories(folder)
            if not models:
                raise UserError("no model in it")
            for model in models.values():
                saved_model.read_model(model)
        except UserError as error:
            _set_aside(workdir, step, str(error))
        else:
            return step
    return 0


def run_settings(workdir: Path, step: int) -> Mapping[str, Any]:
    """Settings of the run that wrote a checkpoint, as JSON.

    Raises:
      UserError: If they cannot be read.
    """
    folder = workdir / CHECKPOINTS / str(step)
    model, *_ = run_directory.member_directories(folder).values()
    config = saved_model.read_provenance(model).config
    if config is None:
        raise UserError(f"{model} does not say with which settings it was trained")
    return config


def _set_aside(workdir: Path, step: int, reason: str) -> None:
    """Moves a damaged checkpoint to where nothing looks for it."""
    aside = workdir / DAMAGED / str(step)
    if not distributed.is_first_process():
        return
    aside.parent.mkdir(exist_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    (workdir / CHECKPOINTS / str(step)).rename(aside)
    reason = reason.partition("\n")[0]
    logger.warning(
        "checkpoint %d is damaged (%.200s): moved to %s and passed over",
        *(step, reason, aside),
    )


class Checkpoints:
    """Checkpoints of one run directory."""

    def __init__(self, workdir: Path, *, max_to_keep: int, members: int = 1):
        """Opens the checkpoints of a run, old ones and those to come.

        Args:
          workdir: The run directory.
          max_to_keep: Newest checkpoints to keep, beside the best of each member.
          members: Codecs that are trained.

        Raises:
          UserError: If the directory cannot be written.
        """
        directory = (workdir / CHECKPOINTS).absolute()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {workdir}: {error.strerror}") from error
        # Orbax reports every file it touches, and each of its threads that fails; a
        # run's own lines say what matters.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # On a full disk it drops what it had not begun to write, whoever meets the end
        # of the disk first, and Python would warn of that.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")
        _ignore_closed_event_loops()
        self._workdir = workdir
        policies = ocp.checkpoint_managers
        best = [
            policies.BestN(
                get_metric_fn=functools.partial(_loss_of, member=member),
                reverse=True,  # The last in order is kept: the lowest loss.
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            for member in range(members)
        ]
        self._manager = ocp.CheckpointManager(
            directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(n=max_to_keep), *best]
                ),
                best_fn=_loss_of,  # Without it metrics are not written to disk.
                cleanup_tmp_directories=True,
            ),
        )

    def save(
        self,
        step: int,
        state: PyTree,
        models: Mapping[int, Model],
        losses: Mapping[int, float],
    ) -> None:
        """Starts to write a checkpoint; training may go on at once.

        Args:
          step: Steps taken.
          state: The train state of all members.
          models: Of the members that go on, for their model folders. The first process
            has them; others need none.
          losses: Of members that were evaluated, on held-out crops: the lowest is the
            best checkpoint of a member. All processes decide what to keep.

        Raises:
          UserError: If this checkpoint or the one before cannot be written.
        """
        metrics = {str(number): loss for number, loss in losses.items()}
        with self._disk():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{STATE: ocp.args.StandardSave(state), MODELS: _SaveModels(models)}
                ),
                metrics=metrics or None,
            )

    def restore_newest(self, like: PyTree) -> tuple[int, PyTree]:
        """Reads the newest train state that is whole.

        Args:
          like: Shapes and places of its arrays.

        Returns:
          Its step, and the state. Newer ones that are damaged were set aside, with a
          warning.

        Raises:
          UserError: If none can be read.
        """
        target = ocp.args.Composite(**{STATE: ocp.args.StandardRestore(like)})
        for step in reversed(run_directory.checkpoint_directories(self._workdir)):
            state, reason = None, "another process cannot read it"
            try:
                state = self._manager.restore(step, args=target)[STATE]
            except Exception as error:  # Storage has errors of many kinds.
                reason = f"{type(error).__name__}: {error}"
            if distributed.all_processes(state is not None):
                return step, state
            _set_aside(self._workdir, step, reason)
            self._manager.reload()
        raise UserError(f"{self._workdir}: none of its checkpoints can be read")

    def close(self) -> None:
        """Waits until the last checkpoint is on disk.

        Raises:
          UserError: If it cannot be written.
        """
        with self._disk():
            self._manager.wait_until_finished()
            self._manager.close()  # Which writes too.

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Says in one line what keeps a checkpoint from being written."""
        try:
            yield
        except Exception as error:  # Storage has errors of many kinds.
            full, reason = os.strerror(errno.ENOSPC), str(error).partition("\n")[0]
            raise UserError(
                f"cannot write a checkpoint in {self._workdir}: "
                f"{full if full in str(error) else reason:.200}; those before are kept"
            ) from error


@functools.cache  # Once a process.
def _ignore_closed_event_loops() -> None:
    """Drops what is told of writes that end after Orbax gave up a checkpoint.

    Where one write fails, Orbax closes its event loop while others are under way. Every
    thread of tensorstore that ends one of these then prints that the loop is closed.
    """
    report = sys.unraisablehook

    def report_others(unraisable):
        error = unraisable.exc_value
        closed = isinstance(error, RuntimeError) and "loop is closed" in str(error)
        if not closed:
            report(unraisable)

    sys.unraisablehook = report_others


def _loss_of(metrics: Mapping[str, float], member: int = 0) -> float:
    """Held-out loss of a member; a member that had stopped has none."""
    return metrics.get(str(member), math.inf)


@contextlib.contextmanager
def open_checkpoints(
    workdir: Path, *, max_to_keep: int, members: int = 1
) -> Iterator[Checkpoints]:
    """Opens checkpoints, and at the end waits until the last one is on disk."""
    checkpoints = Checkpoints(workdir, max_to_keep=max_to_keep, members=members)
    try:
        yield checkpoints
    finally:
        checkpoints.close()
