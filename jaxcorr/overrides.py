"""Overrides of settings on the command line."""

import contextlib
import copy
import dataclasses
import difflib
import functools
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro

from jaxcorr.config import (
    CONTEXTS,
    TRANSFORMS,
    ContextName,
    TrainConfig,
    TransformsName,
)
from jaxcorr.errors import FieldError, UserError

RENAMED_FLAGS = {
    "--objective.distortion-weight": "--sweep.distortion-weight",
    "--objective.correlation-weight": "--sweep.correlation-weight",
    "--seed": "--sweep.seed",
    "--initialize": "--init-from",
    "--step.decoder-input": "--step.quantization",
    "--codec.likelihood-floor": "--codec.likelihood-bound",
    "--cadence.log": "--intervals.log-every",
    "--cadence.evaluate": "--intervals.eval-every",
    "--cadence.checkpoint": "--intervals.checkpoint-every",
    "--cadence.keep": "--intervals.max-to-keep",
    "--processes.coordinator": "--distributed.coordinator-address",
    "--processes.count": "--distributed.num-processes",
    "--processes.index": "--distributed.process-id",
    "--objective.": "--loss.",
}
"""Flags of earlier versions, or their prefixes, and their names today."""

PARTS: dict[str, dict[str, type]] = {
    "transforms": {**TRANSFORMS},
    "context": {**CONTEXTS},
}
"""Parts of a codec of which a flag chooses the kind: the kinds by their names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Arguments:
    """The config, and the flags that choose the kinds of its parts."""

    transforms: Annotated[TransformsName, tyro.conf.arg(name="codec.transforms")]
    """Architecture of the transforms. Another one than in the config starts with its
    own settings."""
    context: Annotated[ContextName, tyro.conf.arg(name="codec.context")]
    """Context model. Another one than in the config starts with its own settings."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]


def parse_overrides(
    config: TrainConfig, overrides: Sequence[str], *, program: str
) -> TrainConfig:
    """Applies the overrides of the command line to settings.

    Args:
      config: The settings.
      overrides: Flags and values, such as `--data.batch-size 8`. `--codec.context NAME`
        and `--codec.transforms NAME` choose other parts, whose settings are those of
        their classes unless further flags change them.
      program: Name of the command with its first arguments, for messages.

    Raises:
      UserError: If a value is out of range.
      SystemExit: If tyro cannot parse an override. It prints the reason.
    """
    for argument in overrides:
        _check_not_renamed(_normalize(argument))
    config = _choose_parts(config, overrides)
    chosen: dict[str, Any] = {part: _kind(config, part) for part in PARTS}
    parse = functools.partial(
        tyro.cli,
        tyro.conf.AvoidSubcommands[_Arguments],
        default=_Arguments(config=config, **chosen),
        args=overrides,
        prog=program,
        description="Trains a codec with these settings, which flags change.",
    )
    quiet = contextlib.redirect_stderr(io.StringIO())
    try:
        with quiet, contextlib.redirect_stdout(io.StringIO()):
            return parse().config
    except SystemExit as stop:
        # Errors of configs are one line, without tyro's frame. Others are printed by
        # parsing once more.
        error = _find_user_error(stop)
        if error is None:
            return parse().config
        raise _with_flag(error, config) from error


def _check_not_renamed(flag: str) -> None:
    """Raises a UserError if a flag has another name today."""
    for old, new in RENAMED_FLAGS.items():
        if flag == old or (old.endswith(".") and flag.startswith(old)):
            raise UserError(f"{flag} is now {flag.replace(old, new, 1)}")


def _choose_parts(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Returns a config with the parts of the codec that flags choose.

    Whether the parts fit together is checked later, when all their settings are known.

    Raises:
      UserError: If there is no such part, or a flag sets what the chosen part lacks.
    """
    codec = copy.copy(config.codec)
    config = dataclasses.replace(config, codec=codec)
    for part, kinds in PARTS.items():
        flag = f"--codec.{part}"
        for name in _values(flag, overrides):
            if name not in kinds:
                guess = difflib.get_close_matches(name, kinds, 1)
                hint = f" (did you mean {guess[0]}?)" if guess else ""
                names = ", ".join(kinds)
                raise UserError(f"{flag} must be one of {names}, but is {name!r}{hint}")
            if _kind(config, part) != name:
                object.__setattr__(codec, part, kinds[name]())
        for override in overrides:
            setting = _normalize(override).removeprefix(f"{flag}.")
            if setting != _normalize(override):
                _check_setting(flag, setting, kinds, _kind(config, part))
    return config


def _check_setting(
    flag: str, setting: str, kinds: Mapping[str, type], chosen: str
) -> None:
    """Raises a UserError if the chosen kind of a part has no such setting."""
    field = setting.removeprefix("no-").replace("-", "_")
    names = {
        name: [field.name for field in dataclasses.fields(kind)]
        for name, kind in kinds.items()
    }
    if field in names[chosen] or setting.replace("-", "_") in names[chosen]:
        return
    others = [name for name, fields in names.items() if field in fields]
    hint = ", ".join(names[chosen]).replace("_", "-") or "none"
    hint = f"; {chosen} has {hint}"
    if others:
        hint = f"; it is one of {' and of '.join(others)}: give {flag} {others[0]}"
    raise UserError(f"{flag}.{setting} is not a setting of {chosen}{hint}")


def _kind(config: TrainConfig, part: str) -> str:
    """Returns the name of the kind that a part of the codec has."""
    kind = type(getattr(config.codec, part))
    return next(name for name, other in PARTS[part].items() if other is kind)


def _values(flag: str, overrides: Sequence[str]) -> list[str]:
    """Returns the values that overrides give to a flag; empty for a missing value."""
    values = []
    pairs = itertools.zip_longest(overrides, overrides[1:], fillvalue="")
    for override, after in pairs:
        if _normalize(override) == flag:
            _, equals, value = override.partition("=")
            values.append(value if equals else after)
    return values


def _normalize(override: str) -> str:
    """Returns the flag of an override, without a value and with dashes for words."""
    return override.partition("=")[0].replace("_", "-")


def _find_user_error(stop: BaseException) -> UserError | None:
    """Returns the UserError that made tyro stop, if one did."""
    error: BaseException | None = stop
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _with_flag(error: UserError, config: TrainConfig) -> UserError:
    """Replaces the class in the message of a FieldError by the flag of the field."""
    if not isinstance(error, FieldError):
        return error
    path = _find_field(config, error.owner)
    if path is None:
        return error
    flag = ".".join((*path, error.field)).replace("_", "-")
    return UserError(f"--{flag} {error.problem}")


def _find_field(config: Any, owner: type) -> tuple[str, ...] | None:
    """Returns the path of fields to the part of class `owner`, None without one."""
    if type(config) is owner:
        return ()
    for field in dataclasses.fields(config):
        part = getattr(config, field.name)
        if dataclasses.is_dataclass(part):
            rest = _find_field(part, owner)
            if rest is not None:
                return (field.name, *rest)
    return None
