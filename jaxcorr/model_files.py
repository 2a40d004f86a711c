"""Files of a model folder, and the one that describes it, which is read without JAX.

`saved_model` lists the files, and reads and writes the others.
"""

import json
from collections.abc import Mapping
from typing import Any

from jaxcorr import paths
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

CONFIG, PARAMETERS, TABLES = "config.json", "parameters.safetensors", "tables.npz"
NAME = "name"
"""Key of the name in the store, in `config.json`."""
FORMAT = 3
"""Format of the folders that are written."""
PARAMETERS_BY_FORMAT = {1: "parameters.npz", 2: "parameters.npz", FORMAT: PARAMETERS}
"""Name of the file of parameters in each format: float32, float16, or either."""


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
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model folder: no readable {CONFIG}")
    return config


def write_config(folder: AnyPath, config: Mapping[str, Any]) -> None:
    """Writes `config.json` into an existing folder."""
    (folder / CONFIG).write_text(format_config(config))


def format_config(config: Mapping[str, Any]) -> str:
    """Returns the text of `config.json`."""
    return json.dumps(config, indent=2) + "\n"


def parameters_path(path: AnyPath, config: Mapping[str, Any]) -> AnyPath:
    """Returns the path of the parameters in a model folder.

    Args:
      path: The model folder.
      config: Content of its `config.json`.

    Raises:
      UserError: If this version does not read the format of the folder.
    """
    form = config.get("format")
    if not isinstance(form, int) or form not in PARAMETERS_BY_FORMAT:
        raise UserError(
            f"{path}: model folder of format {form}, but this jaxcorr reads formats "
            f"{min(PARAMETERS_BY_FORMAT)} to {FORMAT}"
        )
    return path / PARAMETERS_BY_FORMAT[form]
