"""Watches memory, threads and open files of a long training process.

    python benchmarks/long_run.py [--steps N] [-- SETTING …]

Trains a tiny codec on crops of 64x64 pixels in a new process, with a log line per step,
an evaluation every 50 steps and a checkpoint every 100, and observes the process from
outside (Linux only). Settings after the two dashes are passed to `jaxcorr train`, such
as `--data.workers 2` or `--intervals.checkpoint-every 10`.
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
SAMPLE_SECONDS = 0.02
WINDOW = 50
"""Steps over which the median is taken, which contain one evaluation."""
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
    """Resources of a process at one moment.

    Attributes:
      step: Last logged step.
      megabytes: Resident memory.
      threads: Number of threads.
      files: Number of open files, including sockets and pipes.
    """

    step: int
    megabytes: float
    threads: int
    files: int


def main(steps: int, settings: list[str]) -> None:
    """Prints resources after several steps, and the growth in the second half."""
    with tempfile.TemporaryDirectory() as folder:
        samples = watch(Path(folder), steps, settings)
    print(f"medians over {WINDOW} steps; {len(samples)} samples")
    print(f"{'after step':>10}{'resident MB':>13}{'threads':>9}{'open files':>12}")
    medians = {mark: medians_at(samples, mark) for mark in marks(steps)}
    for mark, (megabytes, threads, files) in medians.items():
        print(f"{mark:10}{megabytes:13.1f}{threads:9.0f}{files:12.0f}")
    half, end = medians[steps // 2][0], medians[steps][0]
    growth = 1024 * (end - half) / (steps - steps // 2)
    print(f"growth from step {steps // 2} on: {growth:.1f} KB per step")


def marks(steps: int) -> list[int]:
    """Returns the steps after which a line is printed."""
    return [steps // 10, steps // 4, steps // 2, 3 * steps // 4, steps]


def medians_at(samples: list[Sample], mark: int) -> tuple[float, float, float]:
    """Returns the medians over the steps up to a mark."""
    window = [sample for sample in samples if mark - WINDOW < sample.step <= mark]
    return (
        statistics.median(sample.megabytes for sample in window),
        statistics.median(sample.threads for sample in window),
        statistics.median(sample.files for sample in window),
    )


def watch(folder: Path, steps: int, settings: list[str]) -> list[Sample]:
    """Runs a training process and samples its resources until the last step.

    Raises:
      SystemExit: If the process ends early.
    """
    config = folder / "tiny.py"
    # Steps after the last mark keep the process running while it is sampled.
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
                samples.append(sample_process(process.pid, step))
            if step > steps:
                return samples
            time.sleep(SAMPLE_SECONDS)
    finally:
        process.terminate()
        process.wait()
    raise SystemExit(f"the run ended early, with status {process.returncode}")


def last_step(path: Path) -> int:
    """Returns the last step of a log, or 0 if the log has none yet."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().split(b"\n")[:-1]  # The last line may be incomplete.
    return json.loads(lines[-1])["step"] if lines else 0


def sample_process(process: int, step: int) -> Sample:
    """Reads the resources of a process from `/proc`."""
    folder = Path("/proc") / str(process)
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines()
    )
    return Sample(
        step=step,
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        files=len(list((folder / "fd").iterdir())),
    )


if __name__ == "__main__":
    own, _, training_settings = " ".join(sys.argv[1:]).partition("-- ")
    words = own.split()
    main(int(words[1]) if words else 1000, training_settings.split())
