"""Resolves the core and every extra on every supported Python and platform.

    nox -s resolve

Nothing is installed: uv chooses versions by the metadata of the registry, and takes
wheels only. Prints what was chosen. Fails if anything of `IMPOSSIBLE` resolves, or if
anything else does not.
"""

import concurrent.futures
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

PYTHONS = ("3.11", "3.12", "3.13")
LINUX, ARM, MACOS, WINDOWS = (
    "x86_64-manylinux_2_31",
    "aarch64-manylinux_2_31",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
NO_CUDA, NO_TPU = "JAX has CUDA on Linux only", "JAX has TPUs on Linux x86-64 only"
IMPOSSIBLE = {
    **{(extra, MACOS): NO_CUDA for extra in ("cuda", "cuda12", "cuda13")},
    **{(extra, WINDOWS): NO_CUDA for extra in ("cuda", "cuda12", "cuda13")},
    **{
        (extra, platform): NO_TPU
        for extra in ("tpu", "tpu-aot")
        for platform in (ARM, MACOS, WINDOWS)
    },
    ("onnx", MACOS): "onnxruntime needs macOS 14, and uv resolves for 13",
}
"""Why an extra cannot be installed on a platform."""
SOURCES = ("promise",)
"""Packages without wheels, which are plain Python."""
SHOWN = ("jax", "jaxlib", "flax", "numpy", "grain", "libtpu", "jax2onnx", "torch")


class Installation(NamedTuple):
    """An extra (empty for the core) to resolve for an environment."""

    extra: str
    python: str
    platform: str
    constraints: str

    def describe(self) -> str:
        """Returns it in words, with the source of the pinned versions."""
        pinned = f"-c {self.constraints}" if self.constraints else "newest"
        return f"[{self.extra}] Python {self.python}, {self.platform}, {pinned}"


def main() -> None:
    """Resolves all, and exits with status 1 if an outcome is not the expected one."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = ("", *project["optional-dependencies"])
    on_linux = itertools.product(extras, PYTHONS, [LINUX], ["", "constraints.txt"])
    elsewhere = itertools.product(extras, ["3.12"], [ARM, MACOS, WINDOWS], [""])
    installations = [
        *itertools.starmap(Installation, [*on_linux, *elsewhere]),
        Installation("test", "3.12", LINUX, "constraints-jax-0.11.txt"),
        Installation("test", "3.13", LINUX, "constraints-colab.txt"),
    ]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(resolve, installations))
    wrong = 0
    for installation, (chosen, problem) in zip(installations, outcomes, strict=True):
        reason = IMPOSSIBLE.get((installation.extra, installation.platform))
        outcome = f"impossible: {reason}" if reason else chosen
        if bool(problem) != bool(reason):
            wrong += 1
            outcome = f"UNEXPECTED: {problem or 'resolves'}"
        print(f"{installation.describe()}: {outcome}")
    print(f"{len(installations)} resolved, {wrong} not as expected")
    sys.exit(wrong > 0)


def resolve(installation: Installation) -> tuple[str, str]:
    """Returns the versions of some packages, and the problem if there is one."""
    command = ["uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    command += ["--python-version", installation.python, "--only-binary", ":all:"]
    command += ["--python-platform", installation.platform, "pyproject.toml"]
    for package in SOURCES:
        command += ["--no-binary", package]
    if installation.extra:
        command += ["--extra", installation.extra]
    if installation.constraints:
        command += ["--constraints", installation.constraints]
    # No interpreter is needed, and uv would try to download those that are missing.
    command += ["--no-python-downloads"]
    done = subprocess.run(command, capture_output=True, text=True)
    pins = re.findall(rf"^({'|'.join(SHOWN)})==(\S+)", done.stdout, re.MULTILINE)
    problem = " ".join(done.stderr.split()) if done.returncode else ""
    return ", ".join(map(" ".join, pins)), problem


if __name__ == "__main__":
    main()
