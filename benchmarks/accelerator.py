"""Measures what can be measured in half an hour with an accelerator.

    python benchmarks/accelerator.py [PART…] --photographs-file FILE.npz [--resume DIR]
    python benchmarks/accelerator.py --pack DIR --photographs DIR --kodak DIR
    python benchmarks/accelerator.py --tiny

The parts are `correct`, `speed`, `profile`, `coding` and `train`; without a name all of
them run. `accelerator.md` describes what each part measures and how to plan the time.
The last command tests the program itself at tiny sizes, also on a CPU.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# JAX and torch share the GPU, so neither may reserve all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# The project in a packed folder is not installed.
sys.path.append(str(Path(__file__).parents[1]))

import jax
from accelerator_parts import (
    coding,
    correct,
    pack,
    photographs,
    profile,
    results,
    sizes,
    speed,
    train,
    train_state,
)

from jaxcorr import runtime
from jaxcorr.errors import UserError

PARTS = {
    "correct": correct.run,
    "speed": speed.run,
    "profile": profile.run,
    "coding": coding.run,
    "train": train.run,
}
SECONDS = 500.0
"""Time limit of each part."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports errors as one line."""

    def error(self, message: str) -> NoReturn:
        """Raises the message as a `UserError`, like all other errors.

        Raises:
          UserError: Always.
        """
        raise UserError(f"{message}; --help lists the options")


def main(arguments: Sequence[str]) -> int:
    """Runs the command line.

    Returns:
      Exit status: 0, 1 if a part failed, or 2 if the command cannot be run.
    """
    runtime.retain_freed_memory()  # As `jaxcorr train` does.
    try:
        options = parse(arguments)
        if options.pack is not None:
            pack.pack(options)
            return 0
        return run_parts(options)
    except UserError as error:
        print(f"accelerator: error: {error}", file=sys.stderr)
        return 2


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line.

    Raises:
      UserError: If an option, a part or a model does not exist.
    """
    parser = Parser(prog="accelerator", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    add("--resume", type=Path, default=Path("runs/accelerator"), metavar="DIR")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="copy results and parameters for a later call here",
    )
    add("--photographs-file", type=Path, default=pack.default_photographs())
    add("--seconds", type=float, default=SECONDS, help="time limit of each part")
    add(
        "--torch",
        default=sys.executable,
        metavar="PYTHON",
        help="Python with CompressAI",
    )
    add("--no-torch", action="store_true", help="do not measure CompressAI")
    add("--train-model", default="minnen-128-192", metavar="MODEL")
    add("--tiny", action="store_true", help="test the program itself, on any device")
    add(
        "--pack",
        type=Path,
        metavar="DIR",
        help="write a folder that runs without a network",
    )
    add(
        "--photographs",
        type=Path,
        metavar="DIR",
        help="photographs to pack for training",
    )
    add("--kodak", type=Path, metavar="DIR", help="photographs to pack for coding")
    add("--megabytes", type=float, default=30.0, help="size of the packed photographs")
    add("--no-wheels", action="store_true", help="do not pack Python packages")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in PARTS:
            raise UserError(f"a part must be one of {', '.join(PARTS)}, but is {part}")
    if options.train_model not in sizes.FULL.models:
        raise UserError(
            f"--train-model must be one of {', '.join(sizes.FULL.models)}, but is "
            f"{options.train_model}"
        )
    if not options.seconds > 0:
        raise UserError(f"--seconds must be positive, but is {options.seconds:g}")
    return options


def run_parts(options: argparse.Namespace) -> int:
    """Runs one part after another.

    Raises:
      UserError: If the parts cannot be run; nothing has been measured then.
    """
    run_sizes = sizes.TINY if options.tiny else sizes.FULL
    names = list(dict.fromkeys(options.parts)) or list(PARTS)
    check_device(tiny=options.tiny)
    torch = None if options.no_torch else options.torch
    if "speed" in names and torch is not None:
        speed.check_torch(torch)
    enable_compilation_cache(options.resume / "programs")
    tables = {
        name: results.Results(
            name, options.resume, sizes=run_sizes.name, seconds=options.seconds
        )
        for name in names
    }
    images = None
    if {"coding", "train"} & set(names):
        images = read_photographs(options)
    failed = []
    for name, table in tables.items():
        print(f"{name}, on {results.device_name()}, jax {jax.__version__}", flush=True)
        table.start()
        try:
            PARTS[name](
                table,
                run_sizes,
                torch=torch,
                photographs=images,
                train_model=options.train_model,
            )
        except Exception as error:  # Of any type: the next part may still work.
            print(f"{name}: failed: {results.one_line(error)}", flush=True)
            failed.append(name)
        table.finish()
        if table.failed and name not in failed:
            failed.append(name)
    if options.output is not None:
        runs = train.runs_to_send(tables["train"]) if "train" in tables else []
        train_state.send(options.resume, options.output, runs)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def check_device(*, tiny: bool) -> None:
    """Checks that there is an accelerator, and a CPU beside it.

    Raises:
      UserError: If there is no accelerator, or JAX does not see the CPU.
    """
    if jax.default_backend() == "cpu" and not tiny:
        raise UserError(
            "there must be an accelerator, but JAX sees only the CPU: install "
            "jax[cuda13] or jax[tpu], or give --tiny to test the program itself"
        )
    try:
        jax.devices("cpu")
    except RuntimeError as error:
        raise UserError(
            "JAX must see the CPU beside the accelerator, but JAX_PLATFORMS is "
            f"{os.environ.get('JAX_PLATFORMS')}: unset it"
        ) from error


def read_photographs(options: argparse.Namespace) -> photographs.Photographs:
    """Reads the packed photographs; a tiny run without any gets synthetic ones.

    Raises:
      UserError: If the file is missing or cannot be read.
    """
    if options.tiny and not options.photographs_file.exists():
        return photographs.synthetic()
    return photographs.read(options.photographs_file)


def enable_compilation_cache(folder: Path) -> None:
    """Keeps compiled programs for the next call, unless the user has set a cache."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
