"""Muon for kernels of convolutions, with Adam for all other parameters.

A kernel is a matrix from what a layer sees to its outputs. Muon makes the momentum of
each kernel nearly orthogonal.

References:
  Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024,
  https://kellerjordan.github.io/posts/muon/. Liu et al., "Muon is Scalable for LLM
  Training", 2025, https://arxiv.org/abs/2502.16982, section 2.2: the scale of updates.
"""

import inspect

import jax
import optax
from jaxtyping import PyTree
from optax import contrib

from jaxcorr.errors import UserError
from jaxcorr.training import parameter_groups

UPDATE_RMS = 0.2
"""Root mean square of an update, in learning rates; that of Adam is about as large."""


def muon(
    learning_rate: optax.Schedule, *, weight_decay: float, decay_all: bool
) -> optax.GradientTransformation:
    """Returns Muon for kernels and AdamW for other parameters.

    Args:
      learning_rate: Learning rate of both. That of Adam fits, since updates of kernels
        are as large as Adam's.
      weight_decay: Weight decay, relative to the learning rate.
      decay_all: Whether parameters that are not kernels decay, too.

    Raises:
      UserError: If the installed Optax has no Muon for kernels.
    """
    factory = getattr(contrib, "muon", None)
    options = inspect.signature(factory).parameters if factory else {}
    if not {"muon_weight_dimension_numbers", "consistent_rms"} <= options.keys():
        raise UserError(
            "optimizer.method muon needs Optax 0.2.7 or newer, but "
            f"{optax.__version__} is installed: pip install -U optax"
        )
    return contrib.muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay if decay_all else 0.0,
        muon_weight_dimension_numbers=_matrices,
        consistent_rms=UPDATE_RMS,
    )


def _matrices(parameters: PyTree) -> PyTree:
    """Returns how each kernel is a matrix; None for other parameters."""

    def axes(parameter, is_kernel: bool):
        if not is_kernel:
            return None
        *inputs, output = range(parameter.ndim)
        return contrib.MuonDimensionNumbers(tuple(inputs), (output,))

    return jax.tree.map(axes, parameters, parameter_groups.kernels(parameters))
