"""The settings with which a run goes on, and which of them may change."""

from typing import Any

from jaxcorr import serialization
from jaxcorr.config import TrainConfig, with_changes
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

PLACES = (("data", "source"), ("data", "directory"), ("data", "held_out"))
"""Paths of the fields that say where images are; see `data_record`."""
MAY_CHANGE = {
    ("steps",),
    ("workdir",),
    ("step", "micro_batches"),
    ("step", "rematerialization"),
    ("data", "workers"),
    *PLACES,
    ("intervals",),
    ("mesh",),
    ("distributed",),
    ("log_to",),
    ("profile",),
}
"""Paths of the fields that may change when a run is resumed, with all fields below."""


def resumed_config(config: TrainConfig, saved: Any, workdir: AnyPath) -> TrainConfig:
    """Returns the settings with which a run goes on, given those of a config.

    A run that evaluates on crops alone, as those of earlier versions do, goes on to do
    so unless the config has a number of held-out images of its own.

    Args:
      config: Settings of the command.
      saved: Settings of the newest checkpoint, as JSON.
      workdir: The run directory, for messages.

    Raises:
      UserError: If a field differs that must not change.
    """
    started = serialization.from_json(TrainConfig, saved, str(workdir))
    is_default = config.data.held_out_images == DataConfig.held_out_images
    if started.data.held_out_images == 0 and is_default:
        config = with_changes(config, {"data": {"held_out_images": 0}})
    before = serialization.to_json(started)
    changed = serialization.differences(before, serialization.to_json(config))
    for path, (old, new) in changed.items():
        if not MAY_CHANGE & {path[:1], path}:
            flag = serialization.flag(config, path)
            value = " ".join(map(str, old)) if isinstance(old, list) else old
            raise UserError(
                f"{workdir} was started with {flag} {old}, not {new}. Use another "
                f"--workdir, or --{flag} {value}"
            )
    return config


def moved_images(config: TrainConfig, saved: Any, workdir: AnyPath) -> list[str]:
    """Returns the flags of the settings by which images have another place than before.

    Args:
      config: Settings with which the run goes on.
      saved: Settings of the newest checkpoint, as JSON.
      workdir: The run directory, for messages.
    """
    before = serialization.to_json(
        serialization.from_json(TrainConfig, saved, str(workdir))
    )
    changed = serialization.differences(before, serialization.to_json(config))
    return [serialization.flag(config, path) for path in PLACES if path in changed]
