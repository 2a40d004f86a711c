"""Writes the files, model folders and runs that every later version must read.

    PYTHONPATH=.:tests python tests/references/make_saved.py

They were written by jaxcorr 0.1.0 at commit 5983e02, with Python 3.11, JAX 0.10.2,
Flax 0.12.8 and Orbax 0.12.8, before names in the code differed from names in
files; `minnen-space-channel` and files of format 2 later. The script writes what is
missing and never replaces anything: files must outlive the code that wrote them.

Under `saved/` there are
- `models/NAME/`, a random codec with tiny widths, for every context model and every
  architecture of transforms, with files that it coded in each version of the format,
  `image.jxc` in format 1 and `format_2.jxc`, and what they decode to as `.png`;
- `models_3/minnen-none`, the same codec in a model folder of format 3, of version 0.3;
- `runs/single` and `runs/sweep`, stopped after 3 of 6 steps;
- `runs/single.npz` and `runs/sweep.npz`, their parameters after all 6, by member.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from support import codecs

from jaxcorr import run_directory, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.codec import CodecConfig
from jaxcorr.context.channelwise import Channelwise

ROOT = Path(__file__).parent.parent.parent
SAVED = Path(__file__).parent / "saved"
MODELS = {
    "minnen-none": ("minnen", "none"),
    "minnen-checkerboard": ("minnen", "checkerboard"),
    "minnen-charm-light": ("minnen", "channelwise"),
    "minnen-autoregressive": ("minnen", "autoregressive"),
    "cheng-none": ("cheng", "none"),
    "swin-none": ("swin", "none"),
    "minnen-space-channel": ("minnen", "space-channel"),
}
FILES = {1: "image", 2: "format_2"}
REFERENCE_CHARM = Channelwise(slices=3, support=2, hidden=(6, 5))

RUN = """
from jaxcorr.codec import CodecConfig
from jaxcorr.config import Config
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.transforms.minnen import Minnen

def get_config():
    return Config(
        steps=6,
        codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
        objective=Objective(window=3),
        optimizer=Optimizer(learning_rate=1e-3, warmup_steps=2, drop_at=0.5),
        data=Data(batch_size=2, crop_size=64, held_out_crops=2),
        cadence=IntervalConfig(log=1, evaluate=3, checkpoint=3, keep=2),
    )
"""
SWEEP = [
    "--seed", "0", "5",
    "--objective.distortion-weight", "0.01", "0.02",
    "--objective.correlation-weight", "0.1",
]  # fmt: skip


def main():
    models = {name: codecs.make_combination(*parts) for name, parts in MODELS.items()}
    settings = CodecConfig(
        transforms=codecs.TRANSFORMS["minnen"], context=REFERENCE_CHARM
    )
    models["minnen-charm-reference"] = codecs.make_random_model(
        settings, codecs.GAINS["minnen"], prediction_gain=0.3
    )
    image = np.asarray(Image.open(SAVED.parent / "astronaut.png").convert("RGB"))
    image = image[:75, :100]
    for name, model in models.items():
        folder = SAVED / "models" / name
        if not folder.exists():
            saved_model.write_model(folder, model)
        model = saved_model.read_model(folder)
        for version, file in FILES.items():
            if (folder / f"{file}.jxc").exists():
                continue
            container, _ = coding.encode(model, image, version=version)
            decoded, _ = coding.decode(model, container)
            (folder / f"{file}.jxc").write_bytes(container.to_bytes())
            Image.fromarray(decoded).save(folder / f"{file}.png")
    folder = SAVED / "models_3" / "minnen-none"
    if not folder.exists():
        saved_model.write_model(
            folder, saved_model.read_model(SAVED / "models" / "minnen-none")
        )
    save_run("single", [])
    save_run("sweep", SWEEP)


def save_run(name, arguments):
    """Trains to the end, then keeps the run without its last checkpoint."""
    if (SAVED / "runs" / name).exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        config, workdir = Path(folder) / "codecs.py", Path(folder) / name
        config.write_text(RUN)
        subprocess.run(
            [sys.executable, ROOT / "train.py", config, "--workdir", name, *arguments],
            cwd=folder,
            check=True,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"},
        )
        arrays = {}
        for path in run_directory.model_paths(workdir):
            member = path.rpartition("@")[2] if "@" in path else "0"
            model = run_directory.load(path, checkpoint="newest")
            arrays |= {f"{member}/{key}": x for key, x in model.parameters.items()}
        np.savez_compressed(SAVED / "runs" / f"{name}.npz", **arrays)
        shutil.rmtree(workdir / "checkpoints" / "6")
        for extra in ("held_out", "held_out.jsonl", "metrics.jsonl"):
            path = workdir / extra
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for events in workdir.rglob("events*"):
            events.unlink()
        for commit in workdir.rglob("commit_success.txt"):
            commit.write_text("Checkpoint commit was successful")  # Without its path.
        shutil.copytree(workdir, SAVED / "runs" / name, dirs_exist_ok=True)


if __name__ == "__main__":
    (SAVED / "runs").mkdir(parents=True, exist_ok=True)
    main()
