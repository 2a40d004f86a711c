"""Saves runs between calls: exactly, and in a form small enough to send.

A run keeps its full train state in its own folder, in files of 15 MB at most, and
resumes from it bit for bit. The parameters are also saved alone in float16, a sixth of
the size: if the folder is lost, a run resumes from them, with Adam's moments at zero. A
branch always starts from them, so that all branches start alike.
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
MAX_FILES, MAX_BYTES = 8, 60_000_000
"""Limits of the number and total size of files to send."""
SHARD = re.compile(r"(.+)\.(\d+)-of-(\d+)\.npz")


def save(folder: Path, state: PyTree) -> None:
    """Writes a train state as a folder, whole or not at all."""
    leaves = jax.device_get(jax.tree.leaves(state))
    arrays = {str(number): np.asarray(leaf) for number, leaf in enumerate(leaves)}
    with files.atomic_folder(folder) as new:
        _write(new, "state", arrays)


def load(folder: Path, like: PyTree) -> PyTree | None:
    """Reads a train state with the structure and shapes of `like`.

    Returns:
      The state, or None if there is no such folder.

    Raises:
      UserError: If the folder holds another state.
    """
    if not folder.is_dir():
        return None
    arrays = _read(folder, "state")
    leaves, structure = jax.tree.flatten(like)
    values = [arrays.get(str(number)) for number in range(len(leaves))]
    for array, leaf in zip(values, leaves, strict=True):
        if array is None or array.shape != leaf.shape:
            raise UserError(
                f"{folder} must hold the state of this run, but holds another state: "
                "remove it, or choose another --resume"
            )
    return jax.tree.unflatten(structure, values)


def save_parameters(
    folder: Path, name: str, parameters: Mapping[str, np.ndarray]
) -> None:
    """Writes only the parameters, in float16."""
    arrays = jax.device_get(dict(parameters))
    # An earlier save may have written more files.
    for path in _shards(folder, name):
        path.unlink()
    _write(folder, name, {k: np.asarray(v, np.float16) for k, v in arrays.items()})


def load_parameters(folder: Path, name: str) -> dict[str, np.ndarray] | None:
    """Reads parameters as float32; returns None if there are none.

    Raises:
      UserError: If a file is missing or damaged.
    """
    if not _shards(folder, name):
        return None
    return {k: v.astype(np.float32) for k, v in _read(folder, name).items()}


def send(folder: Path, output: Path, names: Sequence[str]) -> None:
    """Copies results, and as many parameters as fit, to a folder to send.

    Args:
      folder: Folder of results and parameters.
      output: Folder to copy to.
      names: Names of runs, in the order in which their parameters are needed.
    """
    output.mkdir(parents=True, exist_ok=True)
    chosen = sorted(folder.glob("*.json"))
    omitted = []
    for name in names:
        paths = [*chosen, *_shards(folder, name)]
        size = sum(path.stat().st_size for path in paths)
        if len(paths) > MAX_FILES or size > MAX_BYTES:
            omitted.append(name)
        else:
            chosen = paths
    for path in chosen:
        shutil.copy(path, output / path.name)
    print(f"{output}: {len(chosen)} files", flush=True)
    if omitted:
        print(f"{output}: no room for {', '.join(omitted)}", flush=True)


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
    except Exception as error:  # Damaged zip files raise errors of many types.
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
