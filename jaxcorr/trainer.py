"""Trains a codec or a sweep in this process: `train(config)`."""

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from jaxcorr import (
    config_files,
    data_record,
    resume,
    runtime,
    serialization,
    start_record,
    train_states,
)
from jaxcorr.config import TrainConfig, with_changes
from jaxcorr.data import pipeline, sources
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.hosts import cluster, failures, run_lock, shared_disk
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.provenance import Provenance
from jaxcorr.training import checkpoints, distributed, loop, sharding
from jaxcorr.training.held_out import HeldOut, batch_by_canvas
from jaxcorr.training.logger import FileLogger, NullLogger, RunLogger
from jaxcorr.training.stages import Stage
from jaxcorr.training.trackers import TrackedRun, Tracker, open_trackers
from jaxcorr.training.train_state import TrainState

FULL_SCALE, BUILT_IN = 1_000_000, "builtin"
"""Steps from which a run needs held-out images of its own, and the source of others."""


def train(
    config: TrainConfig | str,
    *,
    trackers: Sequence[Tracker] = (),
    config_file: AnyPath | None = None,
    **changes: Any,
) -> AnyPath:
    """Trains until the end of the run, from its newest checkpoint if there is one.

    Settings are checked before a file is written or a program is compiled. For example,
    `train("quickstart:scratch", steps=100, codec={"transforms": {"width": 16}})`.

    Args:
      config: Settings of the run, or the name of a packaged config or the path of a
        config file, as in `load_config`.
      trackers: Receive metrics and pictures, in addition to those of `log_to`; see
        `training.trackers.Tracker`.
      config_file: File that the settings come from, for the record of the start.
      **changes: Settings to change, by their names. A mapping changes some fields of a
        part of the settings.

    Returns:
      The run directory, from which `jaxcorr.load` reads the model.

    Raises:
      UserError: If the config does not exist, if the settings do not fit the run to
        resume, the devices or the data, if another run writes to the run directory or
        not all hosts see it, if this process is one of several that JAX has not
        connected, or for the reasons of `loop.train`.
      Preempted: As `loop.train`.
    """
    if isinstance(config, str):
        config_file = config_files.find_config(config)[0]
        config = config_files.load_config(config)
    config = with_changes(config, changes)
    if config.workdir is None:
        raise UserError("workdir must name the run directory, but is None")
    workdir = as_path(config.workdir)
    checkpoints.check_storage(workdir)
    cluster.check_connected(config.distributed)
    with cluster.watching(), failures.end_all_on_error(loop.Preempted):
        shared_disk.check_shared(workdir)
        with run_lock.hold(workdir) as lock:
            return _train(config, workdir, lock, trackers, config_file)


def _train(
    config: TrainConfig,
    workdir: AnyPath,
    lock: run_lock.RunLock | None,
    trackers: Sequence[Tracker],
    config_file: AnyPath | None,
) -> AnyPath:
    """Trains in a run directory that this process has for itself; see `train`."""
    start = distributed.broadcast_from_first(checkpoints.latest_step(workdir))
    initial, moved = None, []
    if start:
        saved = checkpoints.run_settings(workdir, start)
        config = resume.resumed_config(config, saved, workdir)
        moved = resume.moved_images(config, saved, workdir)
    else:
        check_held_out(config)
        initial = train_states.read_initial(config)
    if start >= config.steps:
        if distributed.is_first_process():
            print(f"{workdir} holds {start} of {config.steps} steps: nothing to train")
        return workdir
    run = make_run(config, make_mesh(config))
    data = open_sources(config, run)
    images = data_record.describe(
        {stage.crop_size: source for stage, (source, _) in data.items()},
        run.held_out.crops,
    )
    data_record.check_processes(images)
    if initial is None:
        data_record.check(workdir, images, moved=moved)
    with contextlib.ExitStack() as stack:
        saved = stack.enter_context(open_checkpoints(run, workdir))
        runtime.enable_compilation_cache(workdir / "programs")
        if initial is None:
            start, state = saved.restore_newest(train_states.abstract_state(run))
        else:
            state = train_states.initial_state(run, initial)
            start = config.branch_step or 0
            data_record.write(workdir, images)
        start_record.write_start(workdir, config, step=start, config_file=config_file)
        batches = run_lock.while_held(lock, read_batches(run, data, start))
        stack.callback(batches.close)
        log = stack.enter_context(open_log(config, run, start, trackers))
        count = len(data[run.stage(start + 1)][0])
        log.log_message(introduction(config, run, start, state, images=count))
        with failures.end_all_on_error(loop.Preempted):
            loop.train(run, state, batches, saved, log)
    return workdir


def check_held_out(config: TrainConfig) -> None:
    """Checks that a run at full scale has held-out images of its own.

    Raises:
      UserError: If it has `FULL_SCALE` steps or more on images of the user, but would
        choose its best checkpoint on two packaged photographs.
    """
    data = config.data
    if config.steps >= FULL_SCALE and data.held_out == BUILT_IN != data.source:
        raise UserError(
            f"data.held-out must name images of your own for a run of {config.steps} "
            "steps, but is builtin, two photographs: give --data.held-out folder:DIR"
        )


def make_mesh(config: TrainConfig) -> Mesh:
    """Arranges all devices, and checks that batch and sweep split evenly over them.

    Raises:
      UserError: If the settings do not fit the devices.
    """
    mesh = sharding.make_mesh(config.mesh)
    for stage in config.run_stages():
        where = f"stage from step {stage.start}: " if stage.start else ""
        sharding.check_batch(
            mesh, stage.batch_size, config.step.micro_batches, where=where
        )
    sharding.check_members(mesh, len(config.members))
    return mesh


def make_run(config: TrainConfig, mesh: Mesh) -> loop.Run:
    """Returns everything that stays constant during the run.

    Raises:
      UserError: If the held-out images cannot be read.
    """
    crops, images = pipeline.read_held_out(config.data)
    devices = sharding.num_batch_devices(mesh)
    return loop.Run(
        static_config=config.static_config,
        members=config.members,
        stages=config.run_stages(),
        intervals=config.intervals,
        mesh=mesh,
        held_out=HeldOut(crops=crops, batches=batch_by_canvas(images, devices=devices)),
        trained_from=config.trained_from,
        provenance=Provenance(config=serialization.to_json(config)),
        workdir=as_path(config.workdir or ""),
        profile=config.profile,
    )


def open_sources(
    config: TrainConfig, run: loop.Run
) -> dict[Stage, tuple[ImageSource, DataConfig]]:
    """Opens the training images of every stage, with the settings of its crops.

    Raises:
      UserError: If a source does not exist, or no image in it is usable in a stage.
    """
    by_crop_size: dict[int, ImageSource] = {}
    opened = {}
    for stage in run.stages:
        size, batch_size = stage.crop_size, stage.batch_size
        data = dataclasses.replace(config.data, crop_size=size, batch_size=batch_size)
        if size not in by_crop_size:
            by_crop_size[size] = sources.training_source(data)
        opened[stage] = by_crop_size[size], data
    return opened


def read_batches(
    run: loop.Run, data: Mapping[Stage, tuple[ImageSource, DataConfig]], start: int
) -> Generator[UInt8[np.ndarray, "rows h w 3"], None, None]:
    """Yields the rows of each batch that this process reads.

    A stage continues the stream of images where the stage before it ends.

    Args:
      run: The run.
      data: Images of each stage, and the settings of its crops.
      start: Steps already taken.
    """
    for stage in run.stages:
        if stage.stop <= start:
            continue
        taken = max(start - stage.start, 0)
        source, settings = data[stage]
        batches = pipeline.batches(
            source,
            settings,
            start=taken,
            skipped_images=stage.skipped_images,
            rows=sharding.local_rows(run.mesh, stage.batch_size),
        )
        with contextlib.closing(batches):
            yield from itertools.islice(batches, stage.stop - stage.start - taken)


def open_checkpoints(
    run: loop.Run, workdir: AnyPath
) -> contextlib.AbstractContextManager[checkpoints.Checkpoints]:
    """Opens the checkpoints of the run."""
    return checkpoints.open_checkpoints(
        workdir, max_to_keep=run.intervals.max_to_keep, members=len(run.members)
    )


def open_log(
    config: TrainConfig, run: loop.Run, start: int, trackers: Sequence[Tracker] = ()
) -> contextlib.AbstractContextManager[RunLogger]:
    """Opens the log and the trackers of the run, which only the first process writes.

    Raises:
      UserError: If a tracker cannot be opened.
    """
    if not distributed.is_first_process():
        return contextlib.nullcontext(NullLogger())
    tracked = TrackedRun(
        workdir=run.workdir,
        start=start,
        members=run.members,
        config=serialization.to_json(config),
    )
    return FileLogger(
        run.workdir,
        start=start,
        steps=run.static_config.steps,
        members=len(run.members),
        trackers=[*open_trackers(config.log_to, tracked), *trackers],
    )


def introduction(
    config: TrainConfig, run: loop.Run, start: int, state: TrainState, *, images: int
) -> str:
    """Returns the first line of the log, which sums up the run.

    Args:
      config: Settings of the run.
      run: The run.
      start: Steps already taken.
      state: State of all members.
      images: Number of training images.
    """
    members = len(run.members)
    parameters = sum(array.size for array in state.parameters.values()) // members
    shared = f" for each of {members} members" if members > 1 else ""
    begin = "Resuming from" if start else "Starting at"
    if start and start == config.branch_step:
        begin = f"Branching off {config.branch} at"
    return (
        f"{begin} step {start} of {config.steps} in {config.workdir}: "
        f"{parameters:,} parameters{shared}, "
        f"{images} images, {jax.device_count()} {jax.default_backend()} device(s); "
        "compiling first"
    )
