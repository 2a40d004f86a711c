"""Config files, and overrides on the command line.

A config is a Python file with a function `get_config()`. If the function takes a
parameter, the config has variants: `FILE:VARIANT` calls `get_config("VARIANT")`.
"""

import contextlib
import copy
import dataclasses
import difflib
import functools
import inspect
import io
import itertools
import runpy
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
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

CORRELATION_FLAG = "--sweep.correlation-weight 0.1"
REMOVED_CONFIGS = {
    "minnen_hyperprior": "ali2023:minnen_hyperprior",
    "minnen_hyperprior_corr": f"ali2023:minnen_hyperprior {CORRELATION_FLAG}",
    "cheng_hyperprior": "ali2023:cheng_hyperprior",
    "cheng_hyperprior_corr": f"ali2023:cheng_hyperprior {CORRELATION_FLAG}",
    "cheng_checkerboard": "ali2023:cheng_checkerboard",
    "cheng_checkerboard_corr": f"ali2023:cheng_checkerboard {CORRELATION_FLAG}",
    "cheng_charm": "ali2023:cheng_charm",
    "cheng_charm_corr": f"ali2023:cheng_charm {CORRELATION_FLAG}",
    "cheng_autoregressive": "ali2023:cheng_autoregressive",
    "swint_hyperprior": "ali2023:swint_hyperprior",
    "swint_hyperprior_corr": f"ali2023:swint_hyperprior {CORRELATION_FLAG}",
    "study_checkerboard": "study:checkerboard",
    "study_charm": "study:charm",
    "study_autoregressive": "study:autoregressive",
}
"""Config files of earlier versions, and the arguments that replace them."""

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


def parse_config(arguments: Sequence[str], *, program: str) -> TrainConfig:
    """Reads a config and applies the overrides of the command line.

    Args:
      arguments: Name of a packaged config or path of a config file, followed by a colon
        and a variant if it has variants, then overrides such as `--data.batch-size 8`.
        `--codec.context NAME` and `--codec.transforms NAME` choose other parts, whose
        settings are those of their classes unless further flags change them.
      program: Name of the command, for messages.

    Raises:
      UserError: If the file has a mistake or a value is out of range.
      SystemExit: If tyro cannot parse an override. It prints the reason.
    """
    name, overrides = "CONFIG", list(arguments)
    if set(arguments[:1]) <= {"-h", "--help"} and arguments:
        config = TrainConfig()
    elif not arguments or arguments[0].startswith("-"):
        raise UserError(f"usage: {program} {name} [--steps N] [--workdir DIR] …")
    else:
        name, *overrides = arguments
        config = load_config(name)
    for argument in overrides:
        _check_not_renamed(_normalize(argument))
    config = _choose_parts(config, overrides)
    chosen: dict[str, Any] = {part: _kind(config, part) for part in PARTS}
    parse = functools.partial(
        tyro.cli,
        tyro.conf.AvoidSubcommands[_Arguments],
        default=_Arguments(config=config, **chosen),
        args=overrides,
        prog=f"{program} {name}",
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


def load_config(name: str) -> TrainConfig:
    """Reads a config. Its run directory is in `runs/` unless it sets another.

    Args:
      name: Name or path of the config, as in `parse_config`.

    Raises:
      UserError: If the config or variant does not exist, or the file has a mistake.
    """
    path, variant = _split(name)
    try:
        get_config = runpy.run_path(str(path))["get_config"]
        if variant and not inspect.signature(get_config).parameters:
            raise UserError(f"{path} has no variants, but {variant[0]!r} was given")
        config = get_config(*variant)
    except UserError:
        raise
    except Exception as error:  # The file of a user may have any mistake.
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        where = f"{path}, line {lines[-1]}" if lines else path
        module = (error.name or "") if isinstance(error, ImportError) else ""
        is_old = module.startswith("jaxcorr")
        hint = "; names changed in 0.2.0, see CHANGELOG.md" if is_old else ""
        raise UserError(f"{where}: {type(error).__name__}: {error}{hint}") from error
    if not isinstance(config, TrainConfig):
        raise UserError(
            f"{path}: get_config() returns {config!r:.60}, not a TrainConfig"
        )
    if config.workdir is None:
        workdir = "runs/" + "_".join([path.stem, *variant])
        config = dataclasses.replace(config, workdir=workdir)
    return config


def packaged_configs() -> dict[str, Path]:
    """Returns the config files that come with jaxcorr, by name."""
    in_wheel, in_clone = (Path(__file__).parents[up] / "configs" for up in (0, 1))
    folder = in_wheel if in_wheel.is_dir() else in_clone
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def _split(name: str) -> tuple[Path, list[str]]:
    """Splits a name into the path of the file and a list of at most one variant."""
    file, colon, variant = name.rpartition(":")
    if not colon or Path(name).is_file():
        file, variant = name, ""
    path = packaged_configs().get(file, Path(file))
    if not path.is_file():
        if path.stem in REMOVED_CONFIGS:
            raise UserError(f"{name} is now {REMOVED_CONFIGS[path.stem]}")
        names = ", ".join(packaged_configs())
        raise UserError(
            f"{file} does not exist: CONFIG must be a Python file, or one of {names}"
        )
    return path, [variant] if variant else []


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
