"""The command that trains a codec."""

import argparse
import ast
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from jaxcorr.cli import installation, output
from jaxcorr.errors import START_AGAIN, UserError
from jaxcorr.extras import needs_extra
from jaxcorr.paths import AnyPath

if TYPE_CHECKING:
    from jaxcorr.config import TrainConfig


def train(
    arguments: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="CONFIG [--SETTING VALUE]…",
            help="Config, such as quickstart, and settings to change in it. In place "
            "of a config, --branch RUN [--checkpoint STEP] goes on from a checkpoint.",
            help_behavior_hint="",
        ),
    ],
) -> None:
    """Trains a codec, or resumes a run that was stopped.

    At the end, the codec compresses photographs that it was not trained on.
    """
    # These import Orbax, Grain and Optax, which no other command needs.
    from jaxcorr import config_files

    if set(arguments) <= {"-h", "--help"}:
        print(_list_configs(config_files.packaged_configs()))
        return
    with needs_extra("train", "training"):
        from jaxcorr import runtime, trainer
        from jaxcorr.hosts import cluster, failures
        from jaxcorr.training import distributed, loop

    config = parse(arguments, program="jaxcorr train")
    is_branch = arguments[0].startswith("-")
    config_file = None if is_branch else config_files.find_config(arguments[0])[0]
    with distributed.exit_at_sigterm():
        cluster.connect(config.distributed)
        try:
            with failures.end_all_on_error(loop.Preempted):
                runtime.check_device()
                if output.is_verbose():
                    installation.print_details()
                workdir = trainer.train(config, config_file=config_file)
                if distributed.is_first_process():
                    if config.trained_from is not None:
                        _print_changes(workdir)
                    _write_samples(workdir)
        except loop.Preempted as stop:
            if distributed.is_first_process():
                print(f"{stop}; the same command resumes the run.")
            cluster.disconnect()
            if not stop.by_user:
                sys.exit(START_AGAIN)
            return
        cluster.disconnect()


def parse(arguments: Sequence[str], *, program: str) -> "TrainConfig":
    """Reads the settings from a config or, for a branch, from a run."""
    from jaxcorr import config_files, overrides
    from jaxcorr.branch import branch_config

    parser = argparse.ArgumentParser(program, add_help=False, allow_abbrev=False)
    parser.add_argument("--branch", metavar="RUN[@MEMBER]")
    parser.add_argument("--checkpoint", default="newest")
    branch, rest = parser.parse_known_args(arguments)
    if branch.branch is None:
        return config_files.parse_config(arguments, program=program)
    if not arguments[0].startswith("-"):
        raise UserError(
            f"a branch has the settings of its run: leave out {arguments[0]}, and "
            f"give {program} --branch {branch.branch}"
        )
    config = branch_config(branch.branch, branch.checkpoint)
    program = f"{program} --branch {branch.branch}"
    return overrides.parse_overrides(config, rest, program=program)


def _list_configs(configs: Mapping[str, AnyPath]) -> str:
    """Returns a text on how to name a config, and the first line of each."""
    lines = []
    for name, path in configs.items():
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        summary, _, _ = docstring.partition("\n")
        lines += textwrap.wrap(
            summary, 80, initial_indent=f"  {name:14}", subsequent_indent=" " * 16
        )
    return "\n".join(
        [
            "usage: jaxcorr train CONFIG[:VARIANT] [--steps N] [--workdir DIR] …",
            "",
            "Configs, besides Python files of your own:",
            *lines,
            "",
            "`jaxcorr train CONFIG --help` lists the settings of a config.",
            "`jaxcorr train --branch RUN [--checkpoint STEP]` goes on from a run.",
        ]
    )


def _print_changes(workdir: AnyPath) -> None:
    """Prints what changed on held-out images since the start of a run."""
    from jaxcorr import run_directory
    from jaxcorr.evaluation import held_out

    rows = list(held_out.read_log(workdir / run_directory.HELD_OUT_LOG))
    members = sorted({row.get("member", 0) for row in rows})
    for member in members:
        history = [row for row in rows if row.get("member", 0) == member]
        first, last = history[0], history[-1]
        changes = [
            f"{first[key]:.{digits}f} to {last[key]:.{digits}f}"
            for key, digits in (("bpp", 4), ("psnr_db", 2), ("correlation", 4))
        ]
        print(
            f"\nOn held-out images, from step {first['step']} to {last['step']}"
            f"{f', member {member}' if len(members) > 1 else ''}: "
            "{} bpp, {} dB, correlation {}".format(*changes)
        )


def _write_samples(workdir: AnyPath) -> None:
    """Codes photographs with the best checkpoints, and prints the measurements."""
    from jaxcorr import run_directory
    from jaxcorr.data import built_in
    from jaxcorr.visualization import samples

    print("\nPhotographs that were not trained on, through real files:")
    models = run_directory.model_paths(workdir)
    for path in models:
        model, directory = run_directory.load(path), workdir / "held_out"
        if len(models) > 1:
            print(f"\n{path}: {model.provenance.describe()}")
            directory /= f"member_{path.rpartition('@')[2]}"
        print(f"\n{samples.write_samples(model, built_in.held_out_paths(), directory)}")
    print(f"\nThe files, and comparison.png, are in {workdir / 'held_out'}")
    print(f"To use the codec: jaxcorr compress IMAGE -m {models[0]}")
