"""Runs of `train.py` in other processes, which can be stopped at a given moment."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from jaxcorr import run_directory
from jaxcorr.paths import AnyPath
from support import compilation
from support.paths import ROOT, SCRIPTS
from support.waiting import PATIENCE, wait_until

STEPS, EVERY, KEEP = 12, 3, 2
SPEED = {"step_seconds", "images_per_second", "data_wait", "tflops_per_second"}
"""Metrics that are measured, and so differ between runs."""
CONFIG = f"""
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.transforms.minnen import Minnen

def get_config():
    return TrainConfig(
        steps={STEPS},
        codec=CodecConfig(transforms=Minnen(width=8, channels=8)),
        loss=LossConfig(window=3),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        data=DataConfig(
            batch_size=2, crop_size=64, held_out_images=0, held_out_crops=2
        ),
        intervals=IntervalConfig(
            log_every=1,
            eval_every={EVERY},
            checkpoint_every={EVERY},
            max_to_keep={KEEP},
        ),
    )
"""


class Runs:
    """Starts runs that share a config and compiled programs.

    As a context manager it ends its process at the end of the block.

    Args:
      folder: Folder for the config; runs have it as working directory.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "tiny.py"
        self.config.write_text(CONFIG)
        self.environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        self._shared: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes itself."""
        self.close()

    def close(self) -> None:
        """Ends the process of `finish`, which the next call starts again."""
        if self._shared is not None:
            self._shared.communicate(timeout=PATIENCE)
            self._shared = None

    def keep_programs_by_run(self) -> None:
        """Lets each run keep compiled programs in its run directory, as by default."""
        del self.environment["JAX_COMPILATION_CACHE_DIR"]

    def share_programs(self, workdir: Path) -> None:
        """Lets later runs use the compiled programs of a run."""
        self.close()
        self.environment["JAX_COMPILATION_CACHE_DIR"] = str(workdir / "programs")

    def start(
        self,
        workdir: AnyPath,
        *arguments: str,
        devices: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Starts a run in a process of its own, outside the repository."""
        command = [ROOT / "train.py", self.config, "--workdir", workdir, *arguments]
        return self.launch(*command, devices=devices, environment=environment)

    def finish(self, workdir: AnyPath, *arguments: str) -> tuple[int, str, str]:
        """Runs to the end. Returns exit status, standard output and standard error.

        Such runs share a process, whose start takes longer than they do.
        """
        if self._shared is None:
            self._shared = self.launch(SCRIPTS / "train_each.py")
        process = self._shared
        assert process.stdin is not None and process.stdout is not None
        command = [self.config, "--workdir", workdir, *arguments]
        print(json.dumps(list(map(str, command))), file=process.stdin, flush=True)
        limit = threading.Timer(PATIENCE, process.kill)
        limit.start()
        answer = process.stdout.readline()
        limit.cancel()
        assert answer, f"the process ended: {process.communicate()[1]}"
        status, output, errors = json.loads(answer)
        return status, output, errors

    def launch(
        self,
        *command: str | AnyPath,
        devices: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Starts Python with a script and its arguments, in the folder of the runs."""
        # One device by default: the eight devices of other tests compile more slowly.
        flags = compilation.flags(devices=devices)
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment | {"XLA_FLAGS": flags, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(
        self, workdir: AnyPath, number: int, when: Callable[[], Any]
    ) -> tuple[int, str, str]:
        """Starts a run and sends it a signal as soon as `when` returns true.

        Returns:
          Exit status, standard output and standard error.
        """
        process = self.start(workdir)
        try:
            wait_until(when, process)
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return process.returncode, output, errors


def records(workdir: AnyPath, name: str = "metrics.jsonl") -> list[dict[str, float]]:
    """Reads the records of a log, without the measured times."""
    lines = (workdir / name).read_text().splitlines()
    return [json.loads(line) | dict.fromkeys(SPEED) for line in lines]


def assert_same_run(workdir: AnyPath, expected: AnyPath, *, last: int = STEPS) -> None:
    """Checks that logs and final parameters of two runs are equal, bit for bit."""

    def final_parameters(run: AnyPath) -> Mapping[str, np.ndarray]:
        return run_directory.load(run, checkpoint=str(last)).parameters

    for name in ("metrics.jsonl", "held_out.jsonl"):
        assert records(workdir, name) == records(expected, name)
    parameters = final_parameters(workdir)
    for name, value in final_parameters(expected).items():
        np.testing.assert_array_equal(parameters[name], value, err_msg=name)
