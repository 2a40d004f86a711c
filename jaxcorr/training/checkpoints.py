"""Checkpoints of a run: the train state and a model folder, written together.

A run directory holds `checkpoints/STEP/state`, which training resumes from, and
`checkpoints/STEP/model`, the model folder that everything else reads. A checkpoint
appears under its name only when all of it is on disk.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from jaxcorr import model_folder
from jaxcorr.errors import UserError
from jaxcorr.model_folder import CHECKPOINTS, HELD_OUT_LOSS, MODEL, Model

STATE = "state"


class _ModelFolderHandler(ocp.CheckpointHandler):
    """Lets Orbax write a model folder as part of a checkpoint."""

    def save(self, directory: epath.Path, args: "_SaveModel") -> None:
        """Writes on one process only."""
        if jax.process_index() == 0 and args.model is not None:
            model_folder.fill_folder(Path(directory), args.model)

    def restore(self, directory: epath.Path, args: Any = None) -> Model:
        """Reads the model folder back."""
        del args
        return model_folder.read_model(Path(directory))


@ocp.args.register_with_handler(_ModelFolderHandler, for_save=True, for_restore=True)
@dataclasses.dataclass
class _SaveModel(ocp.args.CheckpointArgs):
    model: Model | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """How often a run is looked at and saved, in steps."""

    log: int = 20
    """Steps between lines of `metrics.jsonl`."""
    evaluate: int = 1000
    """Steps between evaluations on held-out crops."""
    checkpoint: int = 1000
    """Steps between checkpoints; each is preceded by an evaluation."""
    keep: int = 3
    """Newest checkpoints that are kept, beside the best."""

    def __post_init__(self):
        """Refuses numbers that mean never or nothing."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise UserError(
                    f"cadence.{field.name} must be at least 1, "
                    f"but is {getattr(self, field.name)}"
                )


def newest_step(workdir: Path) -> int:
    """Step of the newest checkpoint of a run, 0 without any; writes nothing."""
    found = (workdir / CHECKPOINTS).glob("*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


def run_settings(workdir: Path, step: int) -> Mapping[str, Any]:
    """Settings of the run that wrote a checkpoint, as JSON.

    Raises:
      UserError: If they cannot be read.
    """
    folder = workdir / CHECKPOINTS / str(step) / MODEL
    return model_folder.read_config(folder)["about"]["run"]


class Checkpoints:
    """Checkpoints of one run directory."""

    def __init__(self, workdir: Path, *, keep: int):
        """Opens the checkpoints of a run, old ones and those to come.

        Args:
          workdir: The run directory.
          keep: Newest checkpoints to keep, beside the best.

        Raises:
          UserError: If the directory cannot be written.
        """
        directory = (workdir / CHECKPOINTS).absolute()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {workdir}: {error.strerror}") from error
        # Orbax reports every file it touches; a run's own lines say what matters.
        logging.getLogger("absl").setLevel(logging.ERROR)
        policies = ocp.checkpoint_managers
        held_out_loss = lambda metrics: metrics[HELD_OUT_LOSS]
        self._manager = ocp.CheckpointManager(
            directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(n=keep),
                        policies.BestN(
                            get_metric_fn=held_out_loss,
                            reverse=True,  # The last in order is kept: the lowest loss.
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                best_fn=held_out_loss,  # Without it metrics are not written to disk.
                cleanup_tmp_directories=True,
            ),
        )

    def save(self, step: int, state: PyTree, model: Model) -> None:
        """Starts to write a checkpoint; training may go on at once.

        Args:
          step: Steps taken.
          state: The train state.
          model: The model, for the model folder; what it says `about` its loss on
            held-out crops decides which checkpoint is the best.
        """
        loss = model.about.get(HELD_OUT_LOSS)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{STATE: ocp.args.StandardSave(state), MODEL: _SaveModel(model)}
            ),
            metrics=None if loss is None else {HELD_OUT_LOSS: loss},
        )

    def restore(self, step: int, like: PyTree) -> PyTree:
        """Reads a train state.

        Args:
          step: Which.
          like: Shapes and shardings of its arrays.

        Raises:
          UserError: If it cannot be read.
        """
        target = ocp.args.Composite(**{STATE: ocp.args.StandardRestore(like)})
        try:
            return self._manager.restore(step, args=target)[STATE]
        except Exception as error:  # Storage has errors of many kinds for lost bytes.
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            path = self._manager.directory / str(step)
            raise UserError(
                f"{path} cannot be read ({reason:.200}); without that directory the "
                "run goes on from the checkpoint before it"
            ) from error


@contextlib.contextmanager
def open_checkpoints(workdir: Path, *, keep: int) -> Iterator[Checkpoints]:
    """Opens checkpoints, and at the end waits until the last one is on disk."""
    checkpoints = Checkpoints(workdir, keep=keep)
    try:
        yield checkpoints
    finally:
        checkpoints._manager.wait_until_finished()
        checkpoints._manager.close()
