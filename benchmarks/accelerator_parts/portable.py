"""Files between an accelerator and a CPU, in both directions.

    JAX_PLATFORMS=cpu python -m accelerator_parts.portable FOLDER

The other side of `code_symbols`: reads the accelerator's files, and writes its own.
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


def code_symbols(sizes: Sizes, folder: Path) -> Figures:
    """Codes an image with every context model here and on the CPU.

    Returns:
      For each context model, the bytes of the file, and what became of a file of fast
      arithmetic on the CPU.

    Raises:
      UserError: If a file gives other latents where it is read.
    """
    image = _image()
    models = {}
    for name, context in sizes.contexts.items():
        transforms = sizes.models["cheng-128"].transforms
        models[name] = random_model(transforms, context)
        setup.write_model(folder / name / "model", models[name])
        data, latents = setup.encode(models[name], image)
        (folder / name / "here.jxc").write_bytes(data)
        np.savez(folder / name / "here.npz", **_any(latents))
        data, _ = setup.encode(models[name], image, fast=True)
        (folder / name / "fast.jxc").write_bytes(data)
    run_on_cpu([sys.executable, "-m", "accelerator_parts.portable", str(folder)])
    figures: Figures = {}
    for name, model in models.items():
        own = folder / name
        _check(own / "here.npz", own / "here-read.npz", f"{name}: the CPU reads")
        _, latents = setup.decode(model, (own / "there.jxc").read_bytes())
        np.savez(own / "there-read.npz", **_any(latents))
        _check(own / "there.npz", own / "there-read.npz", f"{name}: here one reads")
        figures[name] = {
            "bytes": (own / "here.jxc").stat().st_size,
            "fast": json.loads((own / "fast.json").read_text()),
        }
    return figures


def run_on_cpu(command: list[str]) -> None:
    """Runs a program whose JAX has the CPU alone.

    Raises:
      UserError: If it fails; the message is the last line that it printed.
    """
    environment = child_environment() | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"on the CPU: {lines[-1]}")


def child_environment() -> dict[str, str]:
    """Environment in which a child imports what this process does."""
    paths = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, sys.path)]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def answer(folder: Path) -> None:
    """Reads the files of another device, and writes files of its own."""
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        model = setup.read_model(own / "model")
        _, latents = setup.decode(model, (own / "here.jxc").read_bytes())
        np.savez(own / "here-read.npz", **_any(latents))
        data, latents = setup.encode(model, _image())
        (own / "there.jxc").write_bytes(data)
        np.savez(own / "there.npz", **_any(latents))
        try:
            setup.decode(model, (own / "fast.jxc").read_bytes())
            fast = "read"
        except UserError:
            fast = "refused"
        (own / "fast.json").write_text(json.dumps(fast))


def _check(coded: Path, read: Path, what: str) -> None:
    with np.load(coded) as first, np.load(read) as second:
        for name in first.files:
            if not np.array_equal(first[name], second[name]):
                raise UserError(f"{what} other {name} than were coded")


def _image() -> np.ndarray:
    """Blocks of random colors."""
    colors = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return np.kron(colors, np.ones((SIDE // 12, SIDE // 12, 1), np.uint8))


def _any(arrays: Mapping) -> dict:
    return dict(arrays)


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
