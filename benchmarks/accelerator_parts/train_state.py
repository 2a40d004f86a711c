"""Keeps runs between calls: exactly, and in a form small enough to be sent along.

A run keeps its whole train state in a folder of its own, in files of 15 MB at most, and
goes on from there bit for bit. Beside it lie the parameters alone in float16, a sixth
of that: where the folder is lost, a run goes on from these with fresh moments. A branch
always starts from these, so that all branches start alike.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcorr import files
from jaxcorr.errors import UserError

FILE_BYTES = 15_000_000
MOST_FILES, MOST_BYTES = 8, 60_000_000
"""Of everything that is sent back."""
SHARD = re.compile(r"(.+)\.(\d+)-of-(\d+)\.npz")


def save(folder: Path, state: PyTree) -> None:
    """Writes a train state as a folder, whole or not at all."""
    leaves = jax.device_get(jax.tree.leaves(state))
    arrays = {str(number): np.asarray(leaf) for number, leaf in enumerate(leaves)}
    with files.atomic_folder(folder) as new:
        _write(new, "state", arrays)


def load(folder: Path, like: PyTree) -> PyTree | None:
    """Reads a train state of the structure and shapes of `like`; None without one.

    Raises:
      UserError: If the folder holds something else.
    """
    if not folder.is_dir():
        return None
    arrays = _read(folder, "state")
    leaves, structure = jax.tree.flatten(like)
    found = [arrays.get(str(number)) for number in range(len(leaves))]
    for array, leaf in zip(found, leaves, strict=True):
        if array is None or array.shape != leaf.shape:
            raise UserError(
                f"{folder} must hold the state of this run, but holds another: "
                "remove it, or choose another --resume"
            )
    return jax.tree.unflatten(structure, found)


def save_parameters(
    folder: Path, name: str, parameters: Mapping[str, np.ndarray]
) -> None:
    """Writes parameters alone, in float16."""
    arrays = jax.device_get(dict(parameters))
    # A higher number of files may have been written before.
    for path in _shards(folder, name):
        path.unlink()
    _write(folder, name, {k: np.asarray(v, np.float16) for k, v in arrays.items()})


def load_parameters(folder: Path, name: str) -> dict[str, np.ndarray] | None:
    """Reads parameters as float32; None without any.

    Raises:
      UserError: If some of the files are missing or damaged.
    """
    if not _shards(folder, name):
        return None
    return {k: v.astype(np.float32) for k, v in _read(folder, name).items()}


def send(folder: Path, output: Path, names: Sequence[str]) -> None:
    """Copies results, and what parameters still fit, to where they are sent from.

    Args:
      folder: Where results and parameters are.
      output: Where to copy them.
      names: Names of parameters, in the order in which they are needed.
    """
    output.mkdir(parents=True, exist_ok=True)
    chosen = sorted(folder.glob("*.json"))
    left = []
    for name in names:
        more = _shards(folder, name)
        together = [*chosen, *more]
        size = sum(path.stat().st_size for path in together)
        if len(together) > MOST_FILES or size > MOST_BYTES:
            left.append(name)
        else:
            chosen = together
    for path in chosen:
        shutil.copy(path, output / path.name)
    print(f"{output}: {len(chosen)} files", flush=True)
    if left:
        print(f"{output}: no room for {', '.join(left)}", flush=True)


def _write(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    groups: list[dict[str, Any]] = []
    room = 0
    for key, array in arrays.items():
        if array.nbytes > room:
            groups.append({})
            room = FILE_BYTES
        groups[-1][key] = array
        room -= array.nbytes
    for number, group in enumerate(groups):
        path = folder / f"{name}.{number}-of-{len(groups)}.npz"
        with files.atomic_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **group)


def _read(folder: Path, name: str) -> dict[str, np.ndarray]:
    paths = _shards(folder, name)
    arrays: dict[str, np.ndarray] = {}
    try:
        for path in paths:
            with np.load(path) as part:
                arrays |= dict(part)
    except Exception as error:  # Lost bytes raise errors of many kinds in zip files.
        raise UserError(f"{path} cannot be read: {error}; remove it") from error
    match = SHARD.fullmatch(paths[0].name) if paths else None
    if match is None or len(paths) != int(match[3]):
        raise UserError(f"{folder} must hold all files of {name}, but some are missing")
    return arrays


def _shards(folder: Path, name: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(f"{name}.*.npz")
        if (match := SHARD.fullmatch(path.name)) and match[1] == name
    )
