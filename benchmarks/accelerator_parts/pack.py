"""Packs the program into a folder that runs on a machine without a network."""

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
MAX_BYTES = 64 * 2**20
EXCLUDED = ("results/", "colab/", ".ci/")
"""Folders of the project that the packed program does not need."""
CONSTRAINTS = "constraints-jax-0.11.txt"
PACKAGES = (
    "array-record beartype bjontegaard cloudpickle constriction docstring-parser grain "
    "iniconfig jaxtyping packaging pillow pluggy portpicker pygments pytest "
    "pytorch-msssim==1.0.0 tensorboardx typeguard tyro wadler-lindig"
).split()
"""Packages to install beside jax, flax, optax, orbax, torch and their dependencies."""
SOURCE_PACKAGE = "compressai==1.2.8"
"""A package without wheels, built here. Its compiled range coder is left out."""
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
)


def pack(options: argparse.Namespace) -> None:
    """Writes the folder, whole or not at all, and prints how to use it.

    Raises:
      UserError: If an option is missing, or the folder would exceed 64 MiB.
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
        if size > MAX_BYTES:
            raise UserError(
                f"the packed folder must be at most {MAX_BYTES >> 20} MiB, but is "
                f"{size / 2**20:.1f} MiB: give fewer --megabytes of photographs"
            )
    print(
        f"{target}: {size / 2**20:.1f} MiB, {count} training photographs; run in it:\n"
        f"  python3 -m pip install -q --no-index --no-deps --target site {WHEELS}/*\n"
        "  PYTHONPATH=site python3 benchmarks/accelerator.py"
    )


def default_photographs() -> Path:
    """Returns the path of the photographs in a packed folder."""
    return ROOT / PHOTOGRAPHS


def copy_project(folder: Path) -> None:
    """Copies the tracked files that the packed program needs.

    Raises:
      UserError: If the project is not a git repository.
    """
    listed = _run(["git", "-C", str(ROOT), "ls-files", "-z"], "git ls-files")
    for name in filter(None, listed.split("\0")):
        if not name.startswith(EXCLUDED) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def download(folder: Path) -> None:
    """Downloads wheels for Python 3.12 on x86-64 Linux, without dependencies.

    Raises:
      UserError: If pip does not find a package.
    """
    pip = [sys.executable, "-m", "pip"]
    command = [*pip, "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp"]
    command += ["-c", str(ROOT / CONSTRAINTS), "-d", str(folder)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    _run([*command, *PACKAGES], "pip download")
    with tempfile.TemporaryDirectory() as built:
        _run(
            [*pip, "wheel", "-q", "--no-deps", "-w", built, SOURCE_PACKAGE], "pip wheel"
        )
        for wheel in Path(built).glob("*.whl"):
            write_pure_wheel(wheel, folder)


def write_pure_wheel(wheel: Path, folder: Path) -> Path:
    """Writes a copy of a wheel for any Python, without the compiled modules.

    Returns:
      Path of the new wheel.
    """
    name, version = wheel.name.split("-")[:2]
    pure = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(pure, "w") as target:
        for item in source.namelist():
            if not item.startswith((f"{name}/", f"{name}-{version}.dist-info/")):
                continue  # Such as examples.
            data = source.read(item)
            if item.endswith(".dist-info/WHEEL"):
                lines = data.decode().splitlines()
                kept = [line for line in lines if not line.startswith("Tag:")]
                data = "\n".join([*kept, "Tag: py3-none-any", ""]).encode()
            elif item.endswith(".dist-info/RECORD"):
                data = b""  # pip records the files itself.
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
