"""Learned image compression in JAX with the correlation loss of Ali et al. 2023.

Public names are imported at their first use, so `import jaxcorr` loads no other module.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcorr.bitstream.compression import compress, decompress
    from jaxcorr.correlation import correlation_loss, correlation_map, masked_norm
    from jaxcorr.run_directory import load

__all__ = [
    "compress",
    "correlation_loss",
    "correlation_map",
    "decompress",
    "load",
    "masked_norm",
]

_MODULES = {
    "compress": "jaxcorr.bitstream.compression",
    "correlation_loss": "jaxcorr.correlation",
    "correlation_map": "jaxcorr.correlation",
    "decompress": "jaxcorr.bitstream.compression",
    "load": "jaxcorr.run_directory",
    "masked_norm": "jaxcorr.correlation",
}


def __getattr__(name: str) -> Any:
    """Returns a public name, and imports its module."""
    if name not in _MODULES:
        raise AttributeError(f"module 'jaxcorr' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
