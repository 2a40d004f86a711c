"""Config files, and what the command line changes in them.

A config is a Python file with a function `get_config()`. One that takes a parameter has
variants: `FILE:VARIANT` calls `get_config("VARIANT")`.
"""

import dataclasses
import inspect
import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path

import tyro

from jaxcorr.config import Config
from jaxcorr.errors import UserError

WITH_LOSS = "--sweep.correlation-weight 0.1"
REMOVED = {
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

RENAMED = {
    "--objective.distortion-weight": "--sweep.distortion-weight",
    "--objective.correlation-weight": "--sweep.correlation-weight",
    "--seed": "--sweep.seed",
}
"""Flags of earlier versions, and their names today."""


def parse(arguments: Sequence[str], *, program: str) -> Config:
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
        config = Config()
    elif not arguments or arguments[0].startswith("-"):
        raise UserError(f"usage: {program} {name} [--steps N] [--workdir DIR] …")
    else:
        name, *overrides = arguments
        config = load(name)
    for argument in overrides:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag in RENAMED:
            raise UserError(f"{flag} is now {RENAMED[flag]}")
    return tyro.cli(
        tyro.conf.AvoidSubcommands[Config],
        default=config,
        args=overrides,
        prog=f"{program} {name}",
    )


def load(name: str) -> Config:
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
        raise UserError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise UserError(f"{path}: get_config() gives {config!r:.60}, not a Config")
    if config.workdir is None:
        workdir = "runs/" + "_".join([path.stem, *chosen])
        config = dataclasses.replace(config, workdir=workdir)
    return config


def packaged() -> dict[str, Path]:
    """Returns the config files that come with jaxcorr, by name."""
    inside, beside = (Path(__file__).parents[up] / "configs" for up in (0, 1))
    folder = inside if inside.is_dir() else beside  # As in a wheel, or in a clone.
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def _split(name: str) -> tuple[Path, list[str]]:
    """Splits a name into the path of a file, and the variant if one is named."""
    file, colon, chosen = name.rpartition(":")
    if not colon or Path(name).is_file():
        file, chosen = name, ""
    path = packaged().get(file, Path(file))
    if not path.is_file():
        if path.stem in REMOVED:
            raise UserError(f"{name} is now {REMOVED[path.stem]}")
        names = ", ".join(packaged())
        raise UserError(
            f"{file} does not exist: CONFIG must be a Python file, or one of {names}"
        )
    return path, [chosen] if chosen else []
