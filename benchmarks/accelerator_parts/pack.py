"""Packs the program into a folder that runs where there is no network."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from accelerator_parts import photographs
from jaxcorr import files
from jaxcorr.errors import UserError

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS = "photographs.npz"
WHEELS = "wheels"
MOST_BYTES = 64 * 2**20
LEFT_OUT = ("results/", "colab/", ".ci/")
"""What nothing needs that runs there."""
CONSTRAINTS = "constraints-jax-0.11.txt"
PACKAGES = (
    "array-record beartype bjontegaard cloudpickle constriction docstring-parser grain "
    "iniconfig jaxtyping packaging pillow pluggy portpicker pygments pytest "
    "pytorch-msssim==1.0.0 tensorboardx typeguard tyro wadler-lindig"
).split()
"""What is not there beside jax, flax, optax, orbax, torch and what those need."""
BUILT = "compressai==1.2.8"
"""What there is as source alone. Its coder is left out: a step does without it."""
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
)


def pack(options: argparse.Namespace) -> None:
    """Writes the folder, whole or not at all, and tells how to use it.

    Raises:
      UserError: If something is missing, or the folder is larger than 64 MiB.
    """
    for name in ("photographs", "kodak"):
        if getattr(options, name) is None:
            raise UserError(f"--pack needs --{name} DIR, a folder of photographs")
    target = options.pack
    files.check_folder(
        target, "a packed program", is_kind=_is_packed(target), force=True
    )
    with files.atomic_folder(target) as folder:
        copy_project(folder)
        if not options.no_wheels:
            download(folder / WHEELS)
        count = photographs.write(
            folder / PHOTOGRAPHS,
            train=options.photographs,
            kodak=options.kodak,
            megabytes=options.megabytes,
        )
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > MOST_BYTES:
            raise UserError(
                f"the packed folder must be at most {MOST_BYTES >> 20} MiB, but is "
                f"{size / 2**20:.1f} MiB: give fewer --megabytes of photographs"
            )
    print(
        f"{target}: {size / 2**20:.1f} MiB, {count} photographs to train on; in it:\n"
        f"  python3 -m pip install -q --no-index --no-deps --target site {WHEELS}/*\n"
        "  PYTHONPATH=site python3 benchmarks/accelerator.py"
    )


def default_photographs() -> Path:
    """The file that a packed program finds beside itself."""
    return ROOT / PHOTOGRAPHS


def copy_project(folder: Path) -> None:
    """Copies all tracked files that run there.

    Raises:
      UserError: If this is not a working copy of git.
    """
    listed = _run(["git", "-C", str(ROOT), "ls-files", "-z"], "git ls-files")
    for name in filter(None, listed.split("\0")):
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def download(folder: Path) -> None:
    """Downloads wheels for Python 3.12 on x86-64 Linux, without what they need.

    Raises:
      UserError: If pip finds one of them nowhere.
    """
    pip = [sys.executable, "-m", "pip"]
    command = [*pip, "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp"]
    command += ["-c", str(ROOT / CONSTRAINTS), "-d", str(folder)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    _run([*command, *PACKAGES], "pip download")
    with tempfile.TemporaryDirectory() as built:
        _run([*pip, "wheel", "-q", "--no-deps", "-w", built, BUILT], "pip wheel")
        for wheel in Path(built).glob("*.whl"):
            write_pure_wheel(wheel, folder)


def write_pure_wheel(wheel: Path, folder: Path) -> Path:
    """Writes a wheel for any Python: the same without what was compiled.

    Returns:
      Its path.
    """
    name, version = wheel.name.split("-")[:2]
    pure = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(pure, "w") as target:
        for item in source.namelist():
            if not item.startswith((f"{name}/", f"{name}-{version}.dist-info/")):
                continue  # Such as its examples.
            data = source.read(item)
            if item.endswith(".dist-info/WHEEL"):
                lines = data.decode().splitlines()
                kept = [line for line in lines if not line.startswith("Tag:")]
                data = "\n".join([*kept, "Tag: py3-none-any", ""]).encode()
            elif item.endswith(".dist-info/RECORD"):
                data = b""  # pip reads from it what else to record: nothing.
            if not item.endswith(".so"):
                target.writestr(item, data)
    return pure


def _is_packed(folder: Path) -> bool:
    return (folder / PHOTOGRAPHS).is_file()


def _run(command: list[str], name: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{name} cannot be run: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        errors = [line for line in lines if "error" in line.lower()]
        raise UserError(f"{name} failed: {(errors or lines)[0]}")
    return done.stdout
