"""Memory, threads and open files of a training process, as it goes on.

    python benchmarks/long_run.py [--steps N] [-- SETTING …]

Trains a tiny codec on crops of 64x64 pixels in a new process, with a log line a step,
an evaluation every 50 steps and a checkpoint every 100, and looks at it from outside
(Linux only). What is behind the two dashes goes to `jaxcorr train`, such as
`--data.workers 2` or `--intervals.checkpoint-every 10`.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
EVERY_SECONDS = 0.02
WINDOW = 50
"""Steps over which the median is taken: one evaluation falls into each."""
CONFIG = """
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.transforms.minnen import Minnen

def get_config():
    return TrainConfig(
        steps={steps},
        codec=CodecConfig(transforms=Minnen(width=8, channels=8)),
        loss=LossConfig(window=3),
        data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
        intervals=IntervalConfig(log_every=1, eval_every=50, checkpoint_every=100),
    )
"""


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a process holds at a moment.

    Attributes:
      step: Last step that it logged.
      megabytes: Of memory that is resident.
      threads: That it runs.
      files: That it has open: sockets and pipes, too.
    """

    step: int
    megabytes: float
    threads: int
    files: int


def main(steps: int, settings: list[str]) -> None:
    """Prints a line for each of several moments, and the growth from half on."""
    with tempfile.TemporaryDirectory() as folder:
        samples = watch(Path(folder), steps, settings)
    print(f"medians over {WINDOW} steps; {len(samples)} looks")
    print(f"{'after step':>10}{'resident MB':>13}{'threads':>9}{'open files':>12}")
    found = {mark: around(samples, mark) for mark in marks(steps)}
    for mark, (megabytes, threads, files) in found.items():
        print(f"{mark:10}{megabytes:13.1f}{threads:9.0f}{files:12.0f}")
    half, end = found[steps // 2][0], found[steps][0]
    grown = 1024 * (end - half) / (steps - steps // 2)
    print(f"growth from step {steps // 2} on: {grown:.1f} KB a step")


def marks(steps: int) -> list[int]:
    """Steps after which a line is printed."""
    return [steps // 10, steps // 4, steps // 2, 3 * steps // 4, steps]


def around(samples: list[Sample], mark: int) -> tuple[float, float, float]:
    """Medians over the steps up to a mark."""
    near = [each for each in samples if mark - WINDOW < each.step <= mark]
    return (
        statistics.median(each.megabytes for each in near),
        statistics.median(each.threads for each in near),
        statistics.median(each.files for each in near),
    )


def watch(folder: Path, steps: int, settings: list[str]) -> list[Sample]:
    """Runs a training and looks at it until its last step.

    Raises:
      SystemExit: If the run ends otherwise.
    """
    config = folder / "tiny.py"
    # The steps behind the last mark keep the process busy while that is looked at.
    config.write_text(CONFIG.format(steps=steps + WINDOW))
    command = [sys.executable, str(ROOT / "train.py"), str(config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    samples: list[Sample] = []
    process = subprocess.Popen(
        [*command, "--workdir", str(folder / "run"), *settings],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            step = last_step(folder / "run" / "metrics.jsonl")
            if step:
                samples.append(look(process.pid, step))
            if step > steps:
                return samples
            time.sleep(EVERY_SECONDS)
    finally:
        process.terminate()
        process.wait()
    raise SystemExit(f"the run ended early, with status {process.returncode}")


def last_step(path: Path) -> int:
    """Last step in a log; 0 if there is none yet."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().split(b"\n")[:-1]  # The last may be in the making.
    return json.loads(lines[-1])["step"] if lines else 0


def look(process: int, step: int) -> Sample:
    """Reads what the system knows of a process."""
    about = Path("/proc") / str(process)
    status = dict(
        line.split(":", 1) for line in (about / "status").read_text().splitlines()
    )
    return Sample(
        step=step,
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        files=len(list((about / "fd").iterdir())),
    )


if __name__ == "__main__":
    own, _, for_training = " ".join(sys.argv[1:]).partition("-- ")
    count = own.split()
    main(int(count[1]) if count else 1000, for_training.split())
