"""The command line: `jaxcorr train | compress | decompress | evaluate | …`."""

import sys
from collections.abc import Callable

import tyro

from jaxcorr import runtime
from jaxcorr.cli import compress, evaluate, models, train

DESCRIPTION = "Turns photographs into small files and back, with a trained model."


def main() -> None:
    """Runs the command that the command line names."""
    commands: dict[str, Callable] = {
        function.__name__.replace("_", "-"): function
        for function in (
            *(train.train, train.prepare),
            *(compress.compress, compress.decompress, compress.info),
            *(evaluate.evaluate, evaluate.show, evaluate.report),
            *(models.pack, models.import_compressai, models.export),
        )
    }
    name, *arguments = sys.argv[1:] or ["--help"]
    with runtime.run_command():
        if name == "train":
            # Its flags are those of a config. It keeps programs in the run directory.
            train.train(tuple(arguments))
            return
        runtime.enable_compilation_cache()
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="jaxcorr",
            description=DESCRIPTION,
            args=[name, *arguments],
            config=(tyro.conf.FlagCreatePairsOff,),
        )
