"""Command line: `jaxcorr train | compress | decompress | evaluate | …`.

A command is imported when it is called, so that `jaxcorr --help` and commands that
need no JAX start at once.
"""

import difflib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxcorr import runtime, versions
from jaxcorr.cli import output
from jaxcorr.cli.output import Verbosity
from jaxcorr.errors import UserError

DESCRIPTION = "Trains learned image codecs, and compresses images with them."
COMMON_FLAGS = (
    "All commands take --quiet (print errors only) and --verbose (print times,\n"
    "versions, the device and tracebacks of errors)."
)


class Command(NamedTuple):
    """A command: a function of a module of `jaxcorr.cli`, with the command's name.

    Attributes:
      module: Name of the module.
      summary: First line of the function's docstring, for `jaxcorr --help`.
      uses_jax: Whether JAX starts before the function is called.
    """

    module: str
    summary: str
    uses_jax: bool = True


COMMANDS = {
    "train": Command("train", "Trains a codec, or resumes a run that was stopped."),
    "prepare": Command(
        "prepare", "Cuts images into tiles, in a folder to train on.", uses_jax=False
    ),
    "compress": Command(
        "compress", "Compresses images to .jxc files, by default beside the images."
    ),
    "decompress": Command(
        "compress", "Decodes files to images, by default .png files beside them."
    ),
    "info": Command(
        "info",
        "Prints the headers of compressed files (needs no model).",
        uses_jax=False,
    ),
    "evaluate": Command(
        "evaluate", "Codes images to files and back, and prints measurements."
    ),
    "bound": Command(
        "bound",
        "Prints what neighbors could still save in a trained codec, in % of its bits.",
    ),
    "show": Command(
        "evaluate",
        "Draws an image, its reconstruction, its latents and their correlation.",
    ),
    "report": Command(
        "evaluate", "Writes a report on evaluated codecs, with tables and figures."
    ),
    "pack": Command("models", "Copies the model of a run to a model folder."),
    "import-compressai": Command(
        "models", "Converts weights of CompressAI to a model folder."
    ),
    "export": Command(
        "models",
        "Exports the functions of a model to a format that other programs can run.",
    ),
    "doctor": Command(
        "doctor", "Checks the installation, and describes it for reports.", False
    ),
}


def main() -> None:
    """Runs the command in `sys.argv`."""
    # The verbosity decides how an error is printed, so it is known before any command.
    output.show_any_name()
    verbosity, arguments = Verbosity.NORMAL, sys.argv[1:]
    with runtime.exit_on_user_error():
        verbosity, arguments = output.split_verbosity(arguments)
    with (
        output.use_verbosity(verbosity),
        runtime.run_command(with_traceback=verbosity == Verbosity.VERBOSE),
    ):
        run(arguments)


def run(arguments: Sequence[str]) -> None:
    """Runs a command.

    Args:
      arguments: Name of the command and its arguments; none prints the help.

    Raises:
      UserError: If there is no such command, or for the reasons of the command.
      SystemExit: If an argument is wrong, after the help, or if some files failed.
    """
    arguments = arguments or ["--help"]
    first, *rest = arguments
    name = first.replace("_", "-")
    if first == "--version":
        _print_versions()
    elif first.startswith("-"):
        _parse_any(arguments)
    elif name not in COMMANDS:
        known = [*COMMANDS, "--help", "--version"]
        similar = difflib.get_close_matches(name, known, n=1)
        question = f": did you mean {similar[0]}?" if similar else ";"
        raise UserError(
            f"{first} is not a command{question} `jaxcorr --help` lists the commands"
        )
    elif name == "train":
        # The config parses the flags, and the run directory has its own cache.
        load(name)(tuple(rest))
    else:
        _parse(name, rest)


def load(name: str) -> Callable[..., None]:
    """Imports a command.

    Args:
      name: Name of the command, a key of `COMMANDS`.

    Returns:
      The function that runs the command.

    Raises:
      UserError: If JAX or Flax is too old.
    """
    if COMMANDS[name].uses_jax:
        versions.check_packages()
    module = importlib.import_module(f"jaxcorr.cli.{COMMANDS[name].module}")
    return getattr(module, name.replace("-", "_"))


def start_jax() -> None:
    """Starts JAX with the cache of compiled programs.

    Raises:
      UserError: If JAX has no device.
    """
    with output.timed("start JAX"):
        runtime.enable_compilation_cache()
        runtime.check_device()
    if output.is_verbose():
        from jaxcorr.cli import installation

        installation.print_details()


def _print_versions() -> None:
    """Prints the versions, then the devices: JAX takes long to start."""
    from jaxcorr.cli import installation

    for name, version in installation.versions().items():
        print(f"{name} {version or 'is not installed'}", flush=True)
    runtime.check_device()
    for device in installation.describe_devices():
        print(f"device {device}")


def _parse(name: str, arguments: Sequence[str]) -> None:
    """Parses the arguments of a command, and runs it."""
    import tyro

    function = load(name)

    @functools.wraps(function)
    def start(*args: Any, **kwargs: Any) -> None:
        if COMMANDS[name].uses_jax:
            start_jax()
        function(*args, **kwargs)

    tyro.cli(
        start,
        prog=f"jaxcorr {name}",
        # Python 3.13 removes the indentation of docstrings.
        description=f"{inspect.cleandoc(function.__doc__ or '')}\n\n{COMMON_FLAGS}",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _parse_any(arguments: Sequence[str]) -> None:
    """Prints the help, or a script that completes commands in a shell."""
    import tyro

    only_help = set(arguments) <= {"-h", "--help"}
    tyro.extras.subcommand_cli_from_dict(
        {name: _summarize(name) if only_help else load(name) for name in COMMANDS},
        prog="jaxcorr",
        description=f"{DESCRIPTION}\n\n{COMMON_FLAGS}",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _summarize(name: str) -> Callable[[], None]:
    """Returns a function in place of a command, which has its summary only."""

    def command() -> None: ...

    command.__doc__ = COMMANDS[name].summary
    return command
