"""Measures the seconds from `jaxcorr train` to the end of the first step.

    python benchmarks/start_up.py [CONFIG]

Starts training in two new processes, first in an empty run directory and then in the
same one, which keeps compiled programs by default. Both stop after the first step.
"""

import json
import os
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
        (trainer.sources, "training_source"), (trainer.pipeline, "held_out_crops")
    ],
    "initialize": [(trainer, "initial_state")],
}
with stopwatch.timed(timed_functions) as parts:
    sweep.train_members = one_step
    sys.argv.insert(1, "train")
    main()
"""


def main(config: str = "quickstart") -> None:
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
