"""Branches: runs that go on from a checkpoint of another run with changed settings."""

import dataclasses

from jaxcorr import run_directory, saved_model, serialization
from jaxcorr.config import TrainConfig
from jaxcorr.errors import UserError
from jaxcorr.hosts.cluster import DistributedConfig
from jaxcorr.paths import AnyPath
from jaxcorr.training.sweep import SweepConfig


def branch_config(run: str | AnyPath, checkpoint: str = "newest") -> TrainConfig:
    """Returns the settings of a run, for a branch that starts from its checkpoint.

    Train with these settings and changes of them. The branch keeps the state of the
    optimizer, the step count, the position in the data and the noise, so two branches
    of a checkpoint see the same batches with the same noise unless `data` or
    `sweep.seed` differ.

    Args:
      run: Run directory. All members of a sweep go on, each from its own state. With
        RUN@MEMBER all members of the branch start from the state of that one.
      checkpoint: Checkpoint of the run, as in `load`.

    Raises:
      UserError: If the run or the checkpoint does not exist.
    """
    folder, member = run_directory.split_member(run)
    model = run_directory.find(run_directory.model_paths(run)[0], checkpoint)
    provenance = saved_model.read_provenance(model)
    source = run_directory.checkpoint_of(model)
    if provenance.config is None or source is None:
        raise UserError(f"{run} is not a run: a branch needs a checkpoint of training")
    config = serialization.from_json(TrainConfig, provenance.config, str(run))
    _, step = source
    if member is not None and provenance.member is not None:
        sweep = SweepConfig(**dataclasses.asdict(provenance.member))
        config = dataclasses.replace(config, sweep=sweep)
    return dataclasses.replace(
        config,
        branch=str(run),
        branch_step=step,
        init_from=None,
        workdir=f"{folder}_from_{step}",
        distributed=DistributedConfig(),
    )
