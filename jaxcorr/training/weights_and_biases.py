"""Sends metrics and pictures to Weights & Biases."""

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxcorr import extras, files, paths
from jaxcorr.training.trackers import TrackedRun

with extras.needs_extra("wandb", "the tracker wandb"):
    import wandb  # pyright: ignore (an extra that developers need not have)

PROJECT = "jaxcorr"
"""Project of runs, unless the environment variable `WANDB_PROJECT` names another."""
ID_FILE = "wandb_id"
"""File of the run directory with the identity of the run at Weights & Biases."""


class WeightsAndBiases:
    """Tracks a run as one run of Weights & Biases, which goes on after each start.

    Its environment variables have their usual meanings: `WANDB_MODE=offline` writes to
    the run directory alone (in a bucket, when the run ends). Metrics of member 1 of a
    sweep begin with `member_1/`.

    Args:
      run: The run.
    """

    def __init__(self, run: TrackedRun):
        path = run.workdir / ID_FILE
        if not path.exists():
            files.write_file(path, secrets.token_hex(4).encode())
        self._workdir, self._local = run.workdir, None
        if paths.is_remote(run.workdir):
            self._local = tempfile.TemporaryDirectory(prefix="jaxcorr-wandb-")
        settings = wandb.Settings()
        self._run = wandb.init(
            id=path.read_text(),
            resume="allow",
            project=settings.project or PROJECT,
            name=run.workdir.name,
            dir=self._local.name if self._local else str(run.workdir),
            config=dict(run.config),
        )
        # A resumed run repeats steps, which the counter of W&B would drop.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self._is_sweep = len(run.members) > 1

    def scalars(self, values: Mapping[str, float], *, step: int, member: int) -> None:
        """Logs metrics of a member."""
        self._log(values, step, member)

    def images(
        self, name: str, images: Float[np.ndarray, "n h w 3"], *, step: int, member: int
    ) -> None:
        """Logs pictures with values in [0, 1]."""
        pixels = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
        self._log({name: [wandb.Image(picture) for picture in pixels]}, step, member)

    def close(self) -> None:
        """Uploads what is left, and ends the run."""
        self._run.finish()
        if self._local:
            paths.upload(Path(self._local.name), self._workdir)
            self._local.cleanup()

    def _log(self, values: Mapping, step: int, member: int) -> None:
        prefix = f"member_{member}/" if self._is_sweep else ""
        self._run.log(
            {prefix + name: value for name, value in values.items()} | {"step": step}
        )
