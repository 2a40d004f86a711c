"""The command line: `jaxcorr compress | decompress | evaluate | show | report | …`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import tyro

from jaxcorr import errors, memory
from jaxcorr.commands import coding, evaluating, models

DESCRIPTION = "Turns photographs into small files and back, with a trained model."


def main() -> None:
    """Runs the command that the command line names."""
    commands: dict[str, Callable] = {
        function.__name__.replace("_", "-"): function
        for function in (
            *(coding.compress, coding.decompress, coding.info),
            *(evaluating.evaluate, evaluating.show, evaluating.report),
            *(models.pack, models.import_compressai, models.export),
        )
    }
    cache_programs()
    memory.keep_freed()
    with errors.told_in_one_line():
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="jaxcorr",
            description=DESCRIPTION,
            args=sys.argv[1:] or ["--help"],
            config=(tyro.conf.FlagCreatePairsOff,),
        )


def cache_programs() -> None:
    """Keeps compiled programs between commands, where the user's caches are."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "jaxcorr"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
