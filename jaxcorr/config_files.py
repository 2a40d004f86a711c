"""Config files, and what the command line changes in them.

A config is a Python file with a function `get_config()`. One that takes a parameter has
variants: `FILE:VARIANT` calls `get_config("VARIANT")`.
"""

import contextlib
import dataclasses
import functools
import inspect
import io
import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from jaxcorr.config import TrainConfig
from jaxcorr.errors import FieldError, UserError

WITH_LOSS = "--sweep.correlation-weight 0.1"
REMOVED_CONFIGS = {
    "minnen_hyperprior": "ali2023:minnen_hyperprior",
    "minnen_hyperprior_corr": f"ali2023:minnen_hyperprior {WITH_LOSS}",
    "cheng_hyperprior": "ali2023:cheng_hyperprior",
    "cheng_hyperprior_corr": f"ali2023:cheng_hyperprior {WITH_LOSS}",
    "cheng_checkerboard": "ali2023:cheng_checkerboard",
    "cheng_checkerboard_corr": f"ali2023:cheng_checkerboard {WITH_LOSS}",
    "cheng_charm": "ali2023:cheng_charm",
    "cheng_charm_corr": f"ali2023:cheng_charm {WITH_LOSS}",
    "cheng_autoregressive": "ali2023:cheng_autoregressive",
    "swint_hyperprior": "ali2023:swint_hyperprior",
    "swint_hyperprior_corr": f"ali2023:swint_hyperprior {WITH_LOSS}",
    "study_checkerboard": "study:checkerboard",
    "study_charm": "study:charm",
    "study_autoregressive": "study:autoregressive",
}
"""Config files of earlier versions, and what to give instead."""

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
"""Flags of earlier versions, or their beginnings, and their names today."""


def parse_config(arguments: Sequence[str], *, program: str) -> TrainConfig:
    """Reads a config, then the command line's changes to it.

    Args:
      arguments: Name of a packaged config or path of a config file, with the variant
        behind a colon if it has several, then overrides such as `--data.batch-size 8`.
      program: Name of the command, for messages.

    Raises:
      UserError: If the file gives no config or a value is out of range.
      SystemExit: If an override is mistyped; tyro explains it.
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
        _refuse_renamed(argument.partition("=")[0].replace("_", "-"))
    parse = functools.partial(
        tyro.cli,
        tyro.conf.AvoidSubcommands[TrainConfig],
        default=config,
        args=overrides,
        prog=f"{program} {name}",
    )
    quiet = contextlib.redirect_stderr(io.StringIO())
    try:
        with quiet, contextlib.redirect_stdout(io.StringIO()):
            return parse()
    except SystemExit as stop:
        # A config that refuses its values says so in one line, without tyro's frame.
        error = _user_error_behind(stop)
        if error is None:
            return parse()
        raise _named_by_flag(error, config) from error


def load_config(name: str) -> TrainConfig:
    """Reads a config, which trains in `runs/` unless it says where.

    Args:
      name: As the first argument of `parse`.

    Raises:
      UserError: If there is no such config or variant, or its file has a mistake.
    """
    path, chosen = _split(name)
    try:
        get_config = runpy.run_path(str(path))["get_config"]
        if chosen and not inspect.signature(get_config).parameters:
            raise UserError(f"{path} has no variants, so none is {chosen!r}")
        config = get_config(*chosen)
    except UserError:
        raise
    except Exception as error:  # The file is the user's: any mistake may be in it.
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        where = f"{path}, line {lines[-1]}" if lines else path
        old = isinstance(error, ImportError) and (error.name or "").startswith(
            "jaxcorr"
        )
        hint = "; names changed in 0.2.0, see CHANGELOG.md" if old else ""
        raise UserError(f"{where}: {type(error).__name__}: {error}{hint}") from error
    if not isinstance(config, TrainConfig):
        raise UserError(f"{path}: get_config() gives {config!r:.60}, not a Config")
    if config.workdir is None:
        workdir = "runs/" + "_".join([path.stem, *chosen])
        config = dataclasses.replace(config, workdir=workdir)
    return config


def packaged_configs() -> dict[str, Path]:
    """Returns the config files that come with jaxcorr, by name."""
    inside, beside = (Path(__file__).parents[up] / "configs" for up in (0, 1))
    folder = inside if inside.is_dir() else beside  # As in a wheel, or in a clone.
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def _split(name: str) -> tuple[Path, list[str]]:
    """Splits a name into the path of a file, and the variant if one is named."""
    file, colon, chosen = name.rpartition(":")
    if not colon or Path(name).is_file():
        file, chosen = name, ""
    path = packaged_configs().get(file, Path(file))
    if not path.is_file():
        if path.stem in REMOVED_CONFIGS:
            raise UserError(f"{name} is now {REMOVED_CONFIGS[path.stem]}")
        names = ", ".join(packaged_configs())
        raise UserError(
            f"{file} does not exist: CONFIG must be a Python file, or one of {names}"
        )
    return path, [chosen] if chosen else []


def _refuse_renamed(flag: str) -> None:
    for old, new in RENAMED_FLAGS.items():
        if flag == old or (old.endswith(".") and flag.startswith(old)):
            raise UserError(f"{flag} is now {flag.replace(old, new, 1)}")


def _user_error_behind(stop: BaseException) -> UserError | None:
    """Returns the UserError that made tyro stop, if one did."""
    error: BaseException | None = stop
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _named_by_flag(error: UserError, config: TrainConfig) -> UserError:
    """Returns an error about a field with the flag in place of the class."""
    path = _path_of(config, error.owner) if isinstance(error, FieldError) else None
    if path is None or not isinstance(error, FieldError):
        return error
    flag = ".".join((*path, error.field)).replace("_", "-")
    return UserError(f"--{flag} {error.problem}")


def _path_of(config: Any, owner: type) -> tuple[str, ...] | None:
    """Returns the fields that lead to a part of a class, or None if there is none."""
    if type(config) is owner:
        return ()
    for field in dataclasses.fields(config):
        part = getattr(config, field.name)
        if dataclasses.is_dataclass(part):
            rest = _path_of(part, owner)
            if rest is not None:
                return (field.name, *rest)
    return None
