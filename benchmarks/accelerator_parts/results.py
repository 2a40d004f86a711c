"""Stores the figures of a part in a JSON file and prints them as a table."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxcorr import files
from jaxcorr.errors import UserError

Figures = dict[str, Any]
MAX_CELLS = 8
"""Largest number of values of a group that a line of the table shows."""


class Budget:
    """The time that is left to a part.

    Args:
      seconds: Time limit, from now on.
    """

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    @property
    def seconds(self) -> float:
        """Seconds that are left; negative after the time limit."""
        return self._end - time.monotonic()


class Results:
    """The figures of a part.

    A figure that is in the file already is not measured again. No measurement starts
    with less time left than the longest one took. If a measurement fails, its error is
    printed in one line, and the next measurement follows.

    Args:
      part: Name of the part, and of its file.
      folder: Folder of the file.
      sizes: Name of the sizes that are measured.
      seconds: Time limit of the part.

    Raises:
      UserError: If the file holds figures of another device or of other sizes.
    """

    def __init__(self, part: str, folder: Path, *, sizes: str, seconds: float):
        self.part = part
        self.path = folder / f"{part}.json"
        self._seconds = seconds
        self.start()
        self.failed: dict[str, str] = {}
        self.left: list[str] = []
        self.about: Figures = {"device": device_name(), "sizes": sizes}
        self.figures: dict[str, Figures] = {}
        if self.path.exists():
            self._read()
        self.about |= {"jax": jax.__version__}

    def start(self) -> None:
        """Starts the clock."""
        self._started = time.monotonic()
        self._longest = 0.0
        self.budget = Budget(self._seconds)

    def measure(
        self, name: str, function: Callable[[], Figures], *, again: bool = False
    ) -> Figures | None:
        """Measures a figure, unless the file holds it or the time is over.

        Args:
          name: Name of the figure.
          function: Function that measures it.
          again: Whether to call a function that continues from the figure in the file
            and watches the time itself.

        Returns:
          The figure; None if there was no time for it, or it failed.
        """
        if name in self.figures and not again:
            return self.figures[name]
        if self.budget.seconds <= (0.0 if again else self._longest):
            self.left.append(name)
            return None
        started = time.monotonic()
        try:
            self.figures[name] = function()
        except Exception as error:  # Of any type: the next figure may still work.
            self.failed[name] = one_line(error)
            print(f"{self.part}: {name} failed: {self.failed[name]}", flush=True)
            self.write()
            return None
        self._longest = max(self._longest, time.monotonic() - started)
        self.print_line(name, self.figures[name])
        self.write()
        return self.figures[name]

    def print_line(self, name: str, values: Mapping[str, Any]) -> None:
        """Prints a line of the table."""
        cells = (f"{key} {_cell(value)}" for key, value in values.items())
        print(f"  {name:42} " + ", ".join(cells), flush=True)

    def write(self) -> None:
        """Writes the file, whole or not at all."""
        content = {
            "part": self.part,
            "about": self.about,
            "figures": self.figures,
            "failed": self.failed,
            "left": self.left,
        }
        files.write_file(self.path, (json.dumps(content, indent=2) + "\n").encode())

    def finish(self) -> None:
        """Writes the file, and prints the figures for which there was no time."""
        self.write()
        taken = time.monotonic() - self._started
        counts = f"{len(self.figures)} figures in {self.path}"
        if self.failed:
            counts += f", {len(self.failed)} failed"
        print(f"{self.part}: {counts}, {taken:.0f} s", flush=True)
        if self.left:
            print(
                f"{self.part}: no time for {', '.join(self.left)}: "
                "the same command continues with them",
                flush=True,
            )

    def _read(self) -> None:
        try:
            content = json.loads(self.path.read_text())
            about, self.figures = content["about"], content["figures"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path} must be a file of an earlier run, but cannot be read "
                f"({one_line(error)}): remove it, or choose another --resume"
            ) from error
        for name, value in self.about.items():
            if about.get(name) != value:
                raise UserError(
                    f"{self.path} must hold figures of {name} {value}, but holds "
                    f"figures of {about.get(name)}: choose another --resume"
                )


def device_name() -> str:
    """Returns the name of the accelerator."""
    return jax.devices()[0].device_kind


def one_line(error: Exception) -> str:
    """Returns type and message of an error in one line."""
    lines = str(error).strip().splitlines() or [""]
    name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{name}{lines[0]}"[:300]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"({len(value)} values)"
    if isinstance(value, Mapping):
        if len(value) > MAX_CELLS:
            return f"({len(value)} values)"
        cells = ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
        return f"({cells})"
    return str(value)
