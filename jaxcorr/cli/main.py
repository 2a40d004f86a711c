"""Command line: `jaxcorr train | compress | decompress | evaluate | …`."""

import sys
from collections.abc import Callable

import tyro

from jaxcorr import runtime
from jaxcorr.cli import compress, evaluate, models, train

DESCRIPTION = "Trains learned image codecs, and compresses images with them."


def main() -> None:
    """Runs the command in `sys.argv`."""
    functions: list[Callable] = [
        train.train,
        train.prepare,
        compress.compress,
        compress.decompress,
        compress.info,
        evaluate.evaluate,
        evaluate.show,
        evaluate.report,
        models.pack,
        models.import_compressai,
        models.export,
    ]
    commands = {function.__name__.replace("_", "-"): function for function in functions}
    name, *arguments = sys.argv[1:] or ["--help"]
    with runtime.run_command():
        if name == "train":
            # The config parses the flags, and the run directory has its own cache.
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
