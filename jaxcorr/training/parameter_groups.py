"""Groups of parameters that optimizers treat in different ways."""

from typing import Any

import jax
from jaxtyping import PyTree


def kernels(parameters: PyTree) -> PyTree:
    """Returns which parameters are kernels of convolutions and linear layers.

    The others are biases, gains, position biases of attention, the parameters of GDN,
    and those of the prior of the side information.

    Args:
      parameters: Parameters of a codec by their names in files.

    Returns:
      The same tree with a boolean for each parameter.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: _name(path).endswith("/kernel"), parameters
    )


def _name(path: tuple[Any, ...]) -> str:
    """Returns the name in files of a parameter, with a slash before it."""
    return "/" + "/".join(str(getattr(entry, "key", entry)) for entry in path)
