"""Config files.

A config is a Python file with a function `get_config()`. If the function takes a
parameter, the config has variants: `FILE:VARIANT` calls `get_config("VARIANT")`.
"""

import dataclasses
import inspect
import os
import runpy
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcorr import files, paths
from jaxcorr.config import TrainConfig
from jaxcorr.errors import UserError
from jaxcorr.overrides import parse_overrides
from jaxcorr.paths import AnyPath, as_path

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


def parse_config(arguments: Sequence[str], *, program: str) -> TrainConfig:
    """Reads a config and applies the overrides of the command line.

    Args:
      arguments: Name of a packaged config or path of a config file, followed by a colon
        and a variant if it has variants, then overrides, as in `parse_overrides`.
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
    return parse_overrides(config, overrides, program=f"{program} {name}")


def load_config(name: str) -> TrainConfig:
    """Reads a config. Its run directory is in `runs/` unless it sets another.

    Args:
      name: Name or path of the config, as in `parse_config`.

    Raises:
      UserError: If the config or variant does not exist, or the file has a mistake.
    """
    path, variant = find_config(name)
    try:
        get_config = _run(path)["get_config"]
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


def _run(path: AnyPath) -> dict[str, Any]:
    """Runs a Python file, and returns its global names."""
    if not paths.is_remote(path):
        return runpy.run_path(str(path))
    module = types.ModuleType("<run_path>")  # As `run_path` names it.
    exec(compile(files.read_file(path), str(path), "exec"), module.__dict__)
    return module.__dict__


def packaged_configs() -> dict[str, AnyPath]:
    """Returns the config files that come with jaxcorr, by name."""
    in_wheel, in_clone = (Path(__file__).parents[up] / "configs" for up in (0, 1))
    folder = in_wheel if in_wheel.is_dir() else in_clone
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def find_config(name: str) -> tuple[AnyPath, list[str]]:
    """Returns the file that a name stands for, and a list of at most one variant.

    Raises:
      UserError: If there is no such file.
    """
    file, colon, variant = name.rpartition(":")
    is_url = variant.startswith("//")  # What is before it is not a file.
    if not colon or is_url or os.path.isfile(name):
        file, variant = name, ""
    path = packaged_configs().get(file, as_path(file))
    with paths.remote_errors(path, "cannot be read"):
        is_file = path.is_file()
    if not is_file:
        if path.stem in REMOVED_CONFIGS:
            raise UserError(f"{name} is now {REMOVED_CONFIGS[path.stem]}")
        names = ", ".join(packaged_configs())
        raise UserError(
            f"{file} does not exist: CONFIG must be a Python file, or one of {names}"
        )
    return path, [variant] if variant else []
