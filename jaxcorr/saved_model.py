"""Model folders: everything that a trained codec needs to code files.

A model folder holds
- `config.json`: format, fingerprint, settings of the codec, and the provenance of its
  parameters (settings of the run, step, and loss on held-out photographs);
- `parameters.npz`: parameters of the codec, in float32, or in float16 if that holds all
  of them exactly;
- `tables.npz`: integer probability tables, and medians of the side information. They
  are computed once, when the folder is written, so that encoder and decoder read the
  same tables on any machine.
"""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxcorr import files, paths, serialization
from jaxcorr.codec import Codec, CodecConfig
from jaxcorr.entropy.tables import IntegerTables
from jaxcorr.errors import UserError
from jaxcorr.model import Model
from jaxcorr.model import make_model as make_model  # Its place until 0.2.
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.provenance import Provenance

FORMAT, HALF_FORMAT = 1, 2
"""Formats of folders with parameters in float32 and in float16."""
CONFIG, PARAMETERS, TABLES = "config.json", "parameters.npz", "tables.npz"
ABOUT = "about"
"""Key of the provenance in `config.json`."""


def save(path: str | AnyPath, model: Model | Codec) -> None:
    """Writes a model folder completely or not at all, and replaces an older one.

    Args:
      path: Folder to write, from which `jaxcorr.load` reads the model.
      model: A model, or a codec, whose probability tables are computed here.

    Raises:
      TypeError: If the model is given first.
      UserError: If the path is something else than a model folder, or cannot be
        written.
    """
    if isinstance(path, Model | Codec):
        raise TypeError("save takes the path first: save(path, model)")
    path = as_path(path)
    is_model = (path / CONFIG).is_file()
    files.check_folder(path, "a model folder", is_kind=is_model, force=True)
    if isinstance(model, Codec):
        model = Model.from_codec(model)
    write_model(path, model)


def write_model(path: AnyPath, model: Model) -> None:
    """Writes a model folder completely or not at all, and replaces an older one."""
    with files.atomic_folder(path, last=CONFIG) as folder:
        write_model_files(folder, model)


def write_model_files(folder: AnyPath, model: Model) -> None:
    """Writes the files of a model folder into an existing folder."""
    parameters: dict[str, Any] = {**model.parameters}
    form, save = FORMAT, np.savez
    if all(np.array_equal(_to_half(x), x) for x in parameters.values()):
        parameters = {name: _to_half(x) for name, x in parameters.items()}
        form, save = HALF_FORMAT, np.savez_compressed
    _write_arrays(folder / PARAMETERS, parameters, save)
    write_tables(folder, model)
    write_config(folder, {"format": form} | describe(model))


def round_to_half(model: Model) -> Model:
    """Returns the model with parameters that float16 holds exactly.

    Its folder takes half the space. It is another model, with another fingerprint and
    tables of its own, since parameters are rounded before these are computed.

    Raises:
      UserError: If a parameter is beyond the range of float16.
    """
    halves = {name: _to_half(array) for name, array in model.parameters.items()}
    for name, array in halves.items():
        if not np.isfinite(array).all():
            raise UserError(f"{name} is beyond the range of 16 bits: keep 32 bits")
    return make_model(model.config, halves, provenance=model.provenance)


def _to_half(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def describe(model: Model) -> dict[str, Any]:
    """Returns the entries of `config.json` that describe a model."""
    return {
        "fingerprint": model.fingerprint.hex(),
        "codec": serialization.to_json(model.config),
        ABOUT: model.provenance.to_json(),
    }


def write_tables(folder: AnyPath, model: Model) -> None:
    """Writes `tables.npz` into an existing folder."""
    _write_arrays(folder / TABLES, model.table_arrays(), np.savez_compressed)


def write_config(folder: AnyPath, config: Mapping[str, Any]) -> None:
    """Writes `config.json` into an existing folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def read_model(path: AnyPath, *, name: str | None = None) -> Model:
    """Reads a model folder.

    Args:
      path: The model folder.
      name: Path that the user gave, if it is another, such as a run directory.

    Raises:
      UserError: If the folder is missing, damaged, or of another format.
    """
    path = as_path(path)
    config = read_config(path)
    if config.get("format") not in (FORMAT, HALF_FORMAT):
        raise UserError(
            f"{path}: model folder of format {config.get('format')}, but this jaxcorr "
            f"reads formats {FORMAT} and {HALF_FORMAT}"
        )
    arrays = _read_arrays(path / TABLES)

    def read_tables(kind: str) -> IntegerTables:
        names = ("lowest", "length", "counts")
        return IntegerTables(**{name: arrays[f"{kind}_{name}"] for name in names})

    try:
        model = Model(
            config=serialization.from_json(CodecConfig, config["codec"], str(path)),
            parameters={
                name: array.astype(np.float32, copy=False)
                for name, array in _read_arrays(path / PARAMETERS).items()
            },
            median=arrays["median"],
            side_tables=read_tables("side"),
            latent_tables=read_tables("latent"),
            provenance=Provenance.from_json(config.get(ABOUT)),
            path=name or str(path),
        )
    except KeyError as error:
        raise UserError(f"{path}: damaged model folder, {error} is missing") from error
    if model.fingerprint.hex() != config.get("fingerprint"):
        raise UserError(
            f"{path}: damaged model folder, fingerprint {model.fingerprint.hex()} "
            f"instead of {config.get('fingerprint')}"
        )
    return model


def read_config(path: AnyPath) -> dict[str, Any]:
    """Reads `config.json` of a model folder.

    Raises:
      UserError: If the file is missing or cannot be read.
    """
    try:
        with paths.remote_errors(path, "cannot be read", may_be_missing=True):
            text = (path / CONFIG).read_text()
        config = json.loads(text)
    except UserError:
        raise
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model folder: no readable {CONFIG}")
    return config


def read_provenance(path: AnyPath) -> Provenance:
    """Reads the provenance of a model folder, without its parameters.

    Raises:
      UserError: If the path is not a model folder, or cannot be read.
    """
    return Provenance.from_json(read_config(path).get(ABOUT))


def _write_arrays(
    path: AnyPath, arrays: Mapping[str, np.ndarray], save: Callable[..., None]
) -> None:
    buffer = io.BytesIO()  # Of a path, NumPy would make one of the disk.
    save(buffer, **arrays)
    path.write_bytes(buffer.getvalue())


def _read_arrays(path: AnyPath) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            return dict(arrays)
    except Exception as error:  # Damaged zip files raise errors of many kinds.
        raise UserError(f"{path} cannot be read: {error}") from error
