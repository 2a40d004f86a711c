"""Checkpoints of a run: its train state and model folders, written together.

A run directory holds `checkpoints/STEP/state`, which training resumes from, and
`checkpoints/STEP/models/MEMBER`, the model folders that everything else reads. MEMBER
numbers the codecs of a sweep; a run of one codec has only member 0. A checkpoint gets
its final name once all of it is on disk. If it is damaged later, it is moved away, and
training resumes from the one before it.
"""

import contextlib
import dataclasses
import errno
import functools
import logging
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from jaxcorr import paths, run_directory, saved_model, serialization
from jaxcorr.errors import UserError, require
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.run_directory import CHECKPOINTS, MODELS
from jaxcorr.storage_errors import storage_error
from jaxcorr.training import distributed, orbax_messages

logger = logging.getLogger(__name__)

STATE = "state"
DAMAGED = "damaged"
"""Folder of a run to which checkpoints that cannot be read are moved."""


class _ModelsHandler(ocp.CheckpointHandler):
    """Writes and reads the model folders of a checkpoint, for Orbax."""

    def save(self, directory: epath.Path, args: "_SaveModels") -> None:
        """Writes the model folders. Only the first process has models to write."""
        for number, model in args.models.items():
            folder = as_path(directory) / str(number)
            paths.make_folder(folder)
            saved_model.write_model_files(folder, model)

    def restore(self, directory: epath.Path, args: Any = None) -> dict[int, Model]:
        """Reads the model folders."""
        del args
        return {
            int(folder.name): saved_model.read_model(folder)
            for folder in as_path(directory).iterdir()
        }


@ocp.args.register_with_handler(_ModelsHandler, for_save=True, for_restore=True)
@dataclasses.dataclass
class _SaveModels(ocp.args.CheckpointArgs):
    models: Mapping[int, Model] = dataclasses.field(default_factory=dict)


@serialization.stored("Cadence")
@dataclasses.dataclass(frozen=True, kw_only=True)
class IntervalConfig:
    """Sets how often a run logs, evaluates and saves, and what it keeps."""

    log_every: int = 20
    """Number of steps between two lines of `metrics.jsonl`."""
    eval_every: int = 1000
    """Number of steps between two evaluations on held-out images."""
    checkpoint_every: int = 1000
    """Number of steps between two checkpoints. An evaluation precedes each
    checkpoint."""
    max_to_keep: int = 3
    """Number of newest checkpoints to keep. For each member, the checkpoint with the
    lowest held-out loss is kept in addition."""

    def __post_init__(self):
        """Checks that every field is at least 1."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(self, field.name, "at least 1", value >= 1)


def check_storage(workdir: AnyPath) -> None:
    """Checks that Orbax can write train states to the place of a run directory.

    Raises:
      UserError: If it is in a bucket of S3.
    """
    # Orbax 0.12 turns s3://BUCKET into a relative path of the disk for TensorStore.
    if paths.scheme_of(workdir) == "s3":
        raise UserError(
            f"{workdir} must be on a disk or begin with gs://: Orbax writes train "
            "states to no other bucket; give such a --workdir, and copy the model to "
            "s3:// by jaxcorr pack"
        )


def latest_step(workdir: AnyPath) -> int:
    """Returns the step of the newest checkpoint of a run, or 0 if there is none.

    Newer checkpoints whose models cannot be read are first moved to `DAMAGED`, with a
    warning.
    """
    for step, folder in reversed(run_directory.checkpoint_directories(workdir).items()):
        try:
            models = run_directory.member_directories(folder)
            if not models:
                raise UserError("no model in it")
            for model in models.values():
                saved_model.read_model(model)
        except UserError as error:
            _move_damaged(workdir, step, str(error))
        else:
            return step
    return 0


def run_settings(workdir: AnyPath, step: int) -> Mapping[str, Any]:
    """Returns the settings of the run that wrote a checkpoint, as JSON.

    Raises:
      UserError: If the settings cannot be read.
    """
    folder = workdir / CHECKPOINTS / str(step)
    model, *_ = run_directory.member_directories(folder).values()
    config = saved_model.read_provenance(model).config
    if config is None:
        raise UserError(f"{model} does not say with which settings it was trained")
    return config


def _move_damaged(workdir: AnyPath, step: int, reason: str) -> None:
    """Moves a damaged checkpoint to the folder of damaged checkpoints, and warns."""
    target = workdir / DAMAGED / str(step)
    if not distributed.is_first_process():
        return
    with paths.remote_errors(workdir, "cannot be written"):
        paths.make_folder(target.parent)
        paths.remove_folder(target)
        paths.move_folder(workdir / CHECKPOINTS / str(step), target)
    reason = reason.partition("\n")[0]
    logger.warning(
        "checkpoint %d is damaged (%.200s): moved to %s and skipped",
        step,
        reason,
        target,
    )


class Checkpoints:
    """Reads and writes the checkpoints of one run directory.

    Args:
      workdir: The run directory.
      max_to_keep: Number of newest checkpoints to keep, in addition to the best
        checkpoint of each member.
      members: Number of members of the sweep.

    Raises:
      UserError: If the directory cannot be written.
    """

    def __init__(self, workdir: AnyPath, *, max_to_keep: int, members: int = 1):
        directory = paths.absolute(workdir / CHECKPOINTS)
        try:
            paths.make_folder(directory)
        except OSError as error:
            raise UserError(f"cannot write {workdir}: {error.strerror}") from error
        orbax_messages.silence()
        self._workdir = workdir
        policies = ocp.checkpoint_managers
        best = [
            policies.BestN(
                get_metric_fn=functools.partial(_loss_of, member=member),
                reverse=True,  # Sorts by descending loss; Orbax keeps the last.
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            for member in range(members)
        ]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(n=max_to_keep), *best]
            ),
            best_fn=_loss_of,  # Without it Orbax does not write the metrics.
            cleanup_tmp_directories=True,
        )
        with paths.remote_errors(workdir, "cannot be written"):
            self._manager = ocp.CheckpointManager(directory, options=options)

    def save(
        self,
        step: int,
        state: PyTree,
        models: Mapping[int, Model],
        losses: Mapping[int, float],
    ) -> None:
        """Starts to write a checkpoint. Training may continue meanwhile.

        Args:
          step: Steps taken.
          state: The train state of all members.
          models: Model of each active member, by its number. Only the first process
            writes models; other processes may pass none.
          losses: Held-out loss of each member that was evaluated, by its number. The
            checkpoint with the lowest loss of a member is kept. Every process must pass
            the same losses.

        Raises:
          UserError: If this checkpoint or the one before it cannot be written.
        """
        metrics = {str(number): loss for number, loss in losses.items()}
        with self._report_write_errors():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{STATE: ocp.args.StandardSave(state), MODELS: _SaveModels(models)}
                ),
                metrics=metrics or None,
            )

    def restore_newest(self, abstract_state: PyTree) -> tuple[int, PyTree]:
        """Restores the newest train state that can be read.

        Damaged checkpoints that are newer are moved away, with a warning.

        Args:
          abstract_state: Shapes, dtypes and shardings of the train state.

        Returns:
          The step of the checkpoint, and the train state.

        Raises:
          UserError: If no checkpoint can be read.
        """
        target = ocp.args.Composite(**{STATE: ocp.args.StandardRestore(abstract_state)})
        for step in reversed(run_directory.checkpoint_directories(self._workdir)):
            state, reason = None, "another process cannot read it"
            try:
                state = self._manager.restore(step, args=target)[STATE]
            except Exception as error:  # Storage raises errors of many classes.
                reason = f"{type(error).__name__}: {error}"
            if distributed.all_processes(state is not None):
                return step, state
            _move_damaged(self._workdir, step, reason)
            self._manager.reload()
        raise UserError(f"{self._workdir}: none of its checkpoints can be read")

    def close(self) -> None:
        """Waits until the last checkpoint is on disk.

        Raises:
          UserError: If the checkpoint cannot be written.
        """
        with self._report_write_errors():
            self._manager.wait_until_finished()
            self._manager.close()  # Closing also writes to disk.

    @contextlib.contextmanager
    def _report_write_errors(self) -> Iterator[None]:
        """Turns errors of writing into a UserError of one line."""
        try:
            yield
        except Exception as error:  # Storage raises errors of many classes.
            full, reason = os.strerror(errno.ENOSPC), str(error).partition("\n")[0]
            reason = full if full in str(error) else f"{reason:.200}"
            message = f"cannot write a checkpoint in {self._workdir}: {reason}; "
            message += "earlier checkpoints are kept"
            raise storage_error(message, error) from error


def _loss_of(metrics: Mapping[str, float], member: int = 0) -> float:
    """Returns the held-out loss of a member, infinite if it was not evaluated."""
    return metrics.get(str(member), math.inf)


@contextlib.contextmanager
def open_checkpoints(
    workdir: AnyPath, *, max_to_keep: int, members: int = 1
) -> Iterator[Checkpoints]:
    """Opens the checkpoints of a run, and closes them at the end.

    Args:
      workdir: The run directory.
      max_to_keep: As in `Checkpoints`.
      members: As in `Checkpoints`.

    Raises:
      UserError: If the directory or a checkpoint cannot be written.
    """
    checkpoints = Checkpoints(workdir, max_to_keep=max_to_keep, members=members)
    try:
        yield checkpoints
    finally:
        checkpoints.close()
