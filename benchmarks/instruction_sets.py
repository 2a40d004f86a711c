"""Codes files on one instruction set and decodes them on another, both ways.

    .ci/aarch64 FOLDER
    python benchmarks/instruction_sets.py --other FOLDER/bin/python IMAGE…

Models are the small ones of the tests, random ones of realistic widths with every
context model, and two of the demo. Of each, both Pythons encode the middle of all
images, and decode each other's files. Portable files must decode to the same symbols
and y_hat; fast files are the control, which checksums must refuse wherever they would
decode to others. Where their scales agree in every bit, the control shows nothing.
Prints a table, and keeps it as `instruction_sets.csv` beside this script: a model in
the table is not measured again. Without images it prints what is kept.
"""

import argparse
import dataclasses
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr import images, run_directory, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables
from jaxcorr.report.tables import Table

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "instruction_sets.csv"
TESTS = FOLDER.parent / "tests"
SAVED = TESTS / "references" / "saved" / "models"
RANDOM = "random-"
"""Start of the names of random models of realistic widths, with each context model."""
SIDE = 256
"""Side of the part of an image that is coded, in pixels."""
ARRAYS = ("side_symbols", "symbols", "latent_hat")
KINDS = {"portable": Arithmetic.PORTABLE, "fast": Arithmetic.FAST}


@dataclasses.dataclass(kw_only=True)
class Row:
    """Files of one model.

    Attributes:
      model: Name of the model.
      files: Number of portable files that were decoded, and of fast ones.
      equal: Portable files that decoded to the same symbols and y_hat.
      identical: Images of which both Pythons wrote the same portable file.
      scale_difference: Largest difference of a scale in float64.
      fast_difference: Largest difference of a scale in float32, in files that are read.
      fast_refused: Fast files that were refused.
      fast_wrong: Fast files that decoded to other symbols without being refused.
    """

    model: str
    files: int = 0
    equal: int = 0
    identical: int = 0
    scale_difference: float = 0.0
    fast_difference: float = 0.0
    fast_refused: int = 0
    fast_wrong: int = 0


def main() -> None:
    """Measures, or prints what was measured."""
    parser = argparse.ArgumentParser(description="Exchanges files between Pythons.")
    parser.add_argument("images", nargs="*", help="images to code")
    parser.add_argument("--other", help="Python of another instruction set")
    parser.add_argument(
        "--models",
        nargs="*",
        help="models, or random-NAME; all of those above by default",
    )
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        action, model, source, target = options.work
        work(action, model, source, target, options.images)
    elif options.images:
        saved = [str(path.parent) for path in sorted(SAVED.glob("*/config.json"))]
        wide = [f"{RANDOM}{name}" for name in random_codecs().WIDE]
        models = options.models or [*saved, *wide, "demo@0", "demo@2"]
        for model in models:
            known = csv_tables.read_rows(TABLE)
            if Path(model).name not in {row["model"] for row in known}:
                row = exchange(model, options.other, options.images)
                csv_tables.write_rows(TABLE, [*known, dataclasses.asdict(row)])
    if not options.work:
        print(comparison().as_markdown())


def exchange(model: str, other: str, paths: list[str]) -> Row:
    """Lets two Pythons decode each other's files of one model."""
    pythons = sys.executable, other
    row = Row(model=Path(model).name)
    with tempfile.TemporaryDirectory() as name:
        if model.startswith(RANDOM):
            wide = random_codecs().make_wide(model.removeprefix(RANDOM))
            saved_model.write_model(Path(name) / model, wide)
            model = str(Path(name) / model)
        made, read = ([Path(name) / f"{kind}-{n}" for n in (0, 1)] for kind in "mr")
        for python, folder in zip(pythons, made, strict=True):
            start(python, "encode", model, folder, folder, paths)
        for python, source, folder in zip(pythons, made[::-1], read, strict=True):
            start(python, "decode", model, source, folder, paths)
        for number in range(len(paths)):
            files = [(folder / f"portable-{number}").read_bytes() for folder in made]
            row.identical += files[0] == files[1]
            for source, folder in zip(made[::-1], read, strict=True):
                compare(row, number, source, folder)
    print(row, flush=True)
    return row


def random_codecs() -> Any:
    """Returns the module of the tests that makes random codecs."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    return importlib.import_module("support.codecs")


def start(
    python: str, action: str, model: str, source: Path, target: Path, paths: list[str]
) -> None:
    """Runs `work` with a Python."""
    command = [python, __file__, *paths, "--work", action, model, source, target]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    # Programs of one instruction set must not be loaded on the other.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    subprocess.run([str(part) for part in command], env=environment, check=True)


def work(action: str, model: str, source: str, target: str, paths: list[str]) -> None:
    """Encodes images, or decodes the files of a folder, and keeps the latents."""
    loaded, folder = run_directory.load(model), Path(target)
    folder.mkdir(exist_ok=True)
    for number, path in enumerate(paths):
        for kind, arithmetic in KINDS.items():
            file = Path(source) / f"{kind}-{number}"
            try:
                if action == "encode":
                    part = middle(images.read_image(Path(path))[0])
                    made, latents = coding.encode(loaded, part, arithmetic=arithmetic)
                    file.write_bytes(made.to_bytes())
                else:
                    content = Container.from_bytes(file.read_bytes(), str(file))
                    _, latents = coding.decode(loaded, content)
            except UserError as error:
                np.savez(folder / f"{kind}-{number}.npz", refused=str(error))
                continue
            arrays = {name: getattr(latents, name) for name in (*ARRAYS, "scale")}
            np.savez(folder / f"{kind}-{number}.npz", **arrays)


def middle(image: np.ndarray) -> np.ndarray:
    """Returns the middle of an image, at most `SIDE` pixels high and wide."""
    top, left = (max(side - SIDE, 0) // 2 for side in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE]


def compare(row: Row, number: int, source: Path, folder: Path) -> None:
    """Adds what became of an image's files to a row."""
    for kind in KINDS:
        first, second = (np.load(f / f"{kind}-{number}.npz") for f in (source, folder))
        is_read = "refused" not in second
        is_equal = is_read and all(
            np.array_equal(first[name], second[name]) for name in ARRAYS
        )
        difference = 0.0
        if is_read:
            difference = float(np.abs(first["scale"] - second["scale"]).max())
        if kind == "fast":
            row.fast_refused += not is_read
            row.fast_wrong += is_read and not is_equal
            row.fast_difference = max(row.fast_difference, difference)
        else:
            row.files += 1
            row.equal += is_equal
            row.scale_difference = max(row.scale_difference, difference)


def comparison() -> Table:
    """Returns the table of what was measured."""
    return Table(
        columns=(
            "model",
            "files",
            "decoded alike",
            "same bytes",
            "largest difference of a scale",
            "the same, fast",
            "fast files refused",
            "fast files misread",
        ),
        rows=tuple(
            (
                row["model"],
                row["files"],
                row["equal"],
                row["identical"],
                f"{float(row['scale_difference']):.1e}",
                f"{float(known):.1e}"
                if (known := row["fast_difference"])
                else "not kept",
                row["fast_refused"],
                row["fast_wrong"],
            )
            for row in csv_tables.read_rows(TABLE)
        ),
    )


if __name__ == "__main__":
    main()
