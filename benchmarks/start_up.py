"""Measures how long training, or short commands, take from start to result.

    python benchmarks/start_up.py [CONFIG]
    python benchmarks/start_up.py commands [REPEATS]

The first form measures the seconds from `jaxcorr train` to the end of the first step.
It starts training in two new processes, first in an empty run directory and then in the
same one, which keeps compiled programs by default. Both stop after the first step.

The second form runs short commands in turns, with compiled programs in a cache. It
prints the best and the median seconds of each, and the best seconds of CPU time, which
depend less on other programs.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = """
import json, sys, time
start = time.perf_counter()
from jaxcorr import config_files, trainer
from jaxcorr.cli.main import main
imported = time.perf_counter()
import jax
import stopwatch
from jaxcorr.training import sweep

compiling = []
def note(event, seconds, **_):
    if event.endswith("backend_compile_duration"):
        compiling.append(seconds)
jax.monitoring.register_event_duration_secs_listener(note)

def one_step(*arguments, first=sweep.train_members, **options):
    begin, before = time.perf_counter(), sum(compiling)
    jax.block_until_ready(first(*arguments, **options))
    seconds, compiled = time.perf_counter() - begin, sum(compiling) - before
    begin = time.perf_counter()
    print(json.dumps({
        "import": imported - start, **parts,
        "compile step": compiled, "trace and run it": seconds - compiled,
        "programs": len(compiling),
    }), flush=True)
    sys.exit()

timed_functions = {
    "data": [
        (trainer.sources, "training_source"), (trainer.pipeline, "read_held_out")
    ],
    "initialize": [(trainer, "initial_state")],
}
with stopwatch.timed(timed_functions) as parts:
    sweep.train_members = one_step
    sys.argv.insert(1, "train")
    main()
"""


PHOTO, CODED = "photo.png", "photo.jxc"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import jax": ["-c", "import jax"],
    "import flax.nnx": ["-c", "from flax import nnx"],
    "jaxcorr --help": ["-m", "jaxcorr", "--help"],
    "jaxcorr compress --help": ["-m", "jaxcorr", "compress", "--help"],
    "jaxcorr info": ["-m", "jaxcorr", "info", CODED],
    "jaxcorr compress": ["-m", "jaxcorr", "compress", PHOTO, "--force"],
    "jaxcorr decompress": ["-m", "jaxcorr", "decompress", CODED, "-o", "decoded.png"],
}
"""Arguments of Python for each command that is measured."""


def main(config: str = "quickstart:scratch", repeats: str = "5") -> None:
    """Prints the seconds of the first steps of a config, or those of short commands."""
    if config == "commands":
        measure_commands(int(repeats))
    else:
        measure_training(config)


def measure_commands(repeats: int) -> None:
    """Prints a line for each command, on a photograph of 600 x 400 pixels."""
    from jaxcorr.data import built_in

    with tempfile.TemporaryDirectory() as folder:
        photo = built_in.held_out_paths()[-1]
        Path(folder, PHOTO).write_bytes(photo.read_bytes())
        run_command(COMMANDS["jaxcorr compress"], folder)  # Fills the cache.
        run_command(COMMANDS["jaxcorr decompress"], folder)
        rounds = []
        for _ in range(repeats):
            Path(folder, "decoded.png").unlink()
            rounds.append([run_command(line, folder) for line in COMMANDS.values()])
    print(f"{'command':26}{'best':>8}{'median':>8}{'CPU':>8}")
    for name, times in zip(COMMANDS, zip(*rounds, strict=True), strict=True):
        seconds, cpu_seconds = zip(*times, strict=True)
        row = min(seconds), statistics.median(seconds), min(cpu_seconds)
        print(f"{name:26}" + "".join(f"{value:8.2f}" for value in row))


def run_command(arguments: list[str], folder: str) -> tuple[float, float]:
    """Returns the seconds of a process in a folder with a cache, and its CPU time."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": folder}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return seconds, user + system


def measure_training(config: str) -> None:
    """Prints a line for an empty run directory and a line for the second start."""
    with tempfile.TemporaryDirectory() as workdir:
        rows = {name: start(config, workdir) for name in ("empty", "second start")}
    columns = list(rows["empty"])
    print(f"{'run directory':16}" + "".join(f"{name:>18}" for name in columns))
    for name, parts in rows.items():
        print(f"{name:16}" + "".join(f"{parts[column]:18.2f}" for column in columns))


def start(config: str, workdir: str) -> dict[str, float]:
    """Returns the seconds of each part, of the rest, and of the process."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    environment = os.environ | {"PYTHONPATH": path}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STAGES, config, "--workdir", workdir],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    total = time.perf_counter() - begin
    parts = json.loads(done.stdout.splitlines()[-1])
    programs = parts.pop("programs")
    rest = total - sum(parts.values())
    return parts | {"everything else": rest, "total": total, "programs": programs}


if __name__ == "__main__":
    main(*sys.argv[1:])
