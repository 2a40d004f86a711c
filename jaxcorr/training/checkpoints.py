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

from jaxcorr import model_folder
from jaxcorr.errors import UserError
from jaxcorr.model_folder import CHECKPOINTS, HELD_OUT_LOSS, MODEL, Model
from jaxcorr.training.step import TrainState

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


class Checkpoints:
    """Checkpoints of one run directory."""

    def __init__(self, workdir: Path, *, keep: int):
        """Opens the checkpoints of a run, old ones and those to come.

        Args:
          workdir: The run directory.
          keep: Newest checkpoints to keep, beside the best.
        """
        # Orbax reports every file it touches; a run's own lines say what matters.
        logging.getLogger("absl").setLevel(logging.ERROR)
        policies = ocp.checkpoint_managers
        self._manager = ocp.CheckpointManager(
            (workdir / CHECKPOINTS).absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(n=keep),
                        policies.BestN(
                            get_metric_fn=lambda metrics: metrics[HELD_OUT_LOSS],
                            reverse=True,  # The last in order is kept: the lowest loss.
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                cleanup_tmp_directories=True,
            ),
        )

    @property
    def newest(self) -> int | None:
        """Step of the newest checkpoint, None without any."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, model: Model) -> None:
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

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Reads a train state, onto the devices and in the shapes of `like`."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        restored = self._manager.restore(
            step, args=ocp.args.Composite(**{STATE: ocp.args.StandardRestore(abstract)})
        )
        return restored[STATE]

    def run_settings(self, step: int) -> Mapping[str, Any]:
        """Settings of the run that wrote a checkpoint, as JSON."""
        folder = Path(self._manager.directory) / str(step) / MODEL
        return model_folder.read_config(folder)["about"]["run"]


@contextlib.contextmanager
def open_checkpoints(workdir: Path, *, keep: int) -> Iterator[Checkpoints]:
    """Opens checkpoints, and at the end waits until the last one is on disk."""
    checkpoints = Checkpoints(workdir, keep=keep)
    try:
        yield checkpoints
    finally:
        checkpoints._manager.wait_until_finished()
        checkpoints._manager.close()
