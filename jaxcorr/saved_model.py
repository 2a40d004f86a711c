"""Model folders: everything that a trained codec needs to code files.

A model folder holds
- `config.json`: format, fingerprint, settings of the codec, and the provenance of its
  parameters (settings of the run, step, and loss on held-out photographs);
- `parameters.npz`: parameters of the codec, float32;
- `tables.npz`: integer probability tables, and medians of the side information. They
  are computed once, when the folder is written, so that encoder and decoder read the
  same tables on any machine.
"""

import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Float64

from jaxcorr import codec, files, serialization
from jaxcorr.codec import Codec, CodecConfig, Parameters
from jaxcorr.entropy import tables
from jaxcorr.entropy.tables import IntegerTables
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance

FORMAT = 1
CONFIG, PARAMETERS, TABLES = "config.json", "parameters.npz", "tables.npz"
ABOUT = "about"
"""Key of the provenance in `config.json`."""

SIDE_RADIUS = 512
"""Largest |side information - median| in the tables, in quantization steps."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A trained codec with its probability tables, which can code files.

    Attributes:
      config: Settings of the codec.
      parameters: Parameters of the codec, by their names in files.
      median: Median of each channel of side information, subtracted before rounding.
      side_tables: Probability table of each channel of side information.
      latent_tables: Probability table of each entry of the scale table.
      provenance: Origin of the parameters; the fingerprint does not depend on it.
    """

    config: CodecConfig
    parameters: dict[str, Float32[np.ndarray, "..."]]
    median: Float32[np.ndarray, " s"]
    side_tables: IntegerTables
    latent_tables: IntegerTables
    provenance: Provenance = dataclasses.field(default_factory=Provenance)

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """Eight bytes, which differ for any two models that may decode differently."""
        digest = hashlib.sha256()
        config = serialization.to_json(self.config, omit_defaults=True)
        digest.update(json.dumps(config, sort_keys=True).encode())
        for name, array in sorted((self.parameters | self.table_arrays()).items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()[:8]

    @functools.cached_property
    def codec(self) -> Codec:
        """The codec with its parameters, on the default device."""
        return codec.with_parameters(self.config, self.device_parameters)

    @functools.cached_property
    def device_parameters(self) -> Parameters:
        """The parameters on the default device, transferred once."""
        # Portable coding may set a CPU as the default device. The parameters must not
        # stay there if it is the first to use them, so that setting is ignored.
        with jax.default_device(None):
            return jax.device_put(self.parameters)

    def table_arrays(self) -> dict[str, Any]:
        """Returns medians and probability tables, by their names in files."""
        arrays: dict[str, Any] = {"median": self.median}
        for kind in ("side", "latent"):
            for field in ("lowest", "length", "counts"):
                table = getattr(self, f"{kind}_tables")
                arrays[f"{kind}_{field}"] = getattr(table, field)
        return arrays


def make_model(
    codec_settings: CodecConfig,
    parameters: Mapping[str, Any],
    *,
    median: Float32[np.ndarray, " s"] | None = None,
    provenance: Provenance | None = None,
) -> Model:
    """Returns a model: a codec with its probability tables and medians.

    Args:
      codec_settings: Settings of the codec.
      parameters: Parameters of the codec, by their names in files.
      median: Center of each channel of side information; by default its median under
        the prior.
      provenance: Origin of the parameters.
    """
    arrays = {name: np.asarray(array, np.float32) for name, array in parameters.items()}
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        prior = codec.with_parameters(codec_settings, arrays).prior
        if median is None:
            median = np.asarray(prior.median(), np.float32)
        offsets = np.arange(-SIDE_RADIUS, SIDE_RADIUS + 1, dtype=np.float64)
        values = jnp.asarray(offsets[:, None] + median.astype(np.float64))
        probabilities: Float64[np.ndarray, "n s"] = np.asarray(
            jnp.exp2(-prior.bits(values))
        )
    return Model(
        config=codec_settings,
        parameters=arrays,
        median=median,
        side_tables=tables.channel_tables(probabilities.T, lowest=-SIDE_RADIUS),
        latent_tables=tables.gaussian_tables(),
        provenance=provenance or Provenance(),
    )


def write_model(path: Path, model: Model) -> None:
    """Writes a model folder completely or not at all, and replaces an older one."""
    with files.atomic_folder(Path(path)) as folder:
        write_model_files(folder, model)


def write_model_files(folder: Path, model: Model) -> None:
    """Writes the files of a model folder into an existing folder."""
    write_config(folder, {"format": FORMAT} | describe(model))
    parameters: dict[str, Any] = {**model.parameters}
    np.savez(folder / PARAMETERS, **parameters)
    np.savez_compressed(folder / TABLES, **model.table_arrays())


def describe(model: Model) -> dict[str, Any]:
    """Returns the entries of `config.json` that describe a model."""
    return {
        "fingerprint": model.fingerprint.hex(),
        "codec": serialization.to_json(model.config),
        ABOUT: model.provenance.to_json(),
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes `config.json` into an existing folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def read_model(path: Path) -> Model:
    """Reads a model folder.

    Raises:
      UserError: If the folder is missing, damaged, or of another format.
    """
    path = Path(path)
    config = read_config(path)
    if config.get("format") != FORMAT:
        raise UserError(
            f"{path}: model folder of format {config.get('format')}, but this jaxcorr "
            f"reads format {FORMAT}"
        )
    arrays = _read_arrays(path / TABLES)

    def read_tables(kind: str) -> IntegerTables:
        names = ("lowest", "length", "counts")
        return IntegerTables(**{name: arrays[f"{kind}_{name}"] for name in names})

    try:
        model = Model(
            config=serialization.from_json(CodecConfig, config["codec"], str(path)),
            parameters=_read_arrays(path / PARAMETERS),
            median=arrays["median"],
            side_tables=read_tables("side"),
            latent_tables=read_tables("latent"),
            provenance=Provenance.from_json(config.get(ABOUT)),
        )
    except KeyError as error:
        raise UserError(f"{path}: damaged model folder, {error} is missing") from error
    if model.fingerprint.hex() != config.get("fingerprint"):
        raise UserError(
            f"{path}: damaged model folder, fingerprint {model.fingerprint.hex()} "
            f"instead of {config.get('fingerprint')}"
        )
    return model


def read_config(path: Path) -> dict[str, Any]:
    """Reads `config.json` of a model folder.

    Raises:
      UserError: If the file is missing or cannot be read.
    """
    try:
        config = json.loads((Path(path) / CONFIG).read_text())
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model folder: no readable {CONFIG}")
    return config


def read_provenance(path: Path) -> Provenance:
    """Reads the provenance of a model folder, without its parameters.

    Raises:
      UserError: If the path is not a model folder, or cannot be read.
    """
    return Provenance.from_json(read_config(path).get(ABOUT))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            return dict(arrays)
    except Exception as error:  # Damaged zip files raise errors of many kinds.
        raise UserError(f"{path} cannot be read: {error}") from error
