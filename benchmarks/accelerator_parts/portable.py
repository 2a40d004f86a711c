"""Checks that files of an accelerator decode on a CPU, and the other way round.

    JAX_PLATFORMS=cpu python -m accelerator_parts.portable FOLDER

runs the CPU's side of `exchange_files`: it decodes the files of the accelerator and
writes files of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from complexity import random_model

from accelerator_parts import setup
from accelerator_parts.results import Figures
from accelerator_parts.sizes import Sizes
from jaxcorr.errors import UserError

ROOT = Path(__file__).parents[2]
SIDE = 96
"""Side of the image that is coded, in pixels."""


def exchange_files(sizes: Sizes, folder: Path) -> Figures:
    """Codes an image with every context model on the accelerator and on the CPU.

    Returns:
      For each context model, the size of the file in bytes, and whether the CPU read
      or refused a file of fast arithmetic.

    Raises:
      UserError: If a file decodes to other latents than were encoded.
    """
    image = _image()
    models = {}
    for name, context in sizes.contexts.items():
        transforms = sizes.models["cheng-128"].transforms
        models[name] = random_model(transforms, context)
        setup.write_model(folder / name / "model", models[name])
        data, latents = setup.encode(models[name], image)
        (folder / name / "accelerator.jxc").write_bytes(data)
        np.savez(folder / name / "accelerator.npz", **_as_dict(latents))
        data, _ = setup.encode(models[name], image, fast=True)
        (folder / name / "fast.jxc").write_bytes(data)
    run_on_cpu([sys.executable, "-m", "accelerator_parts.portable", str(folder)])
    figures: Figures = {}
    for name, model in models.items():
        files = folder / name
        _check(
            files / "accelerator.npz",
            files / "accelerator-decoded.npz",
            f"{name}: the CPU",
        )
        _, latents = setup.decode(model, (files / "cpu.jxc").read_bytes())
        np.savez(files / "cpu-decoded.npz", **_as_dict(latents))
        _check(files / "cpu.npz", files / "cpu-decoded.npz", f"{name}: the accelerator")
        figures[name] = {
            "bytes": (files / "accelerator.jxc").stat().st_size,
            "fast": json.loads((files / "fast.json").read_text()),
        }
    return figures


def run_on_cpu(command: list[str]) -> None:
    """Runs a program in which JAX sees only the CPU.

    Raises:
      UserError: If the program fails, with the last line that it printed.
    """
    environment = child_environment() | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"on the CPU: {lines[-1]}")


def child_environment() -> dict[str, str]:
    """Returns an environment in which a child process finds the same modules."""
    paths = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, sys.path)]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def decode_and_encode(folder: Path) -> None:
    """Decodes the files of the accelerator, and encodes files for it."""
    for files in sorted(path for path in folder.iterdir() if path.is_dir()):
        model = setup.read_model(files / "model")
        _, latents = setup.decode(model, (files / "accelerator.jxc").read_bytes())
        np.savez(files / "accelerator-decoded.npz", **_as_dict(latents))
        data, latents = setup.encode(model, _image())
        (files / "cpu.jxc").write_bytes(data)
        np.savez(files / "cpu.npz", **_as_dict(latents))
        try:
            setup.decode(model, (files / "fast.jxc").read_bytes())
            fast = "read"
        except UserError:
            fast = "refused"
        (files / "fast.json").write_text(json.dumps(fast))


def _check(encoded: Path, decoded: Path, decoder: str) -> None:
    with np.load(encoded) as first, np.load(decoded) as second:
        for name in first.files:
            if not np.array_equal(first[name], second[name]):
                raise UserError(f"{decoder} decodes other {name} than were encoded")


def _image() -> np.ndarray:
    """Returns blocks of random colors."""
    colors = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return np.kron(colors, np.ones((SIDE // 12, SIDE // 12, 1), np.uint8))


def _as_dict(arrays: Mapping) -> dict:
    return dict(arrays)


if __name__ == "__main__":
    decode_and_encode(Path(sys.argv[1]))
