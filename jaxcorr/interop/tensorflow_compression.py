"""Converts factorized priors to and from TensorFlow Compression (TFC).

TFC's `DeepFactorized` and `NoisyDeepFactorized` have the same parameters as
`FactorizedPrior`: all three are the density of Ballé et al. 2018. Parameters pass as
NumPy arrays by the names of TFC's variables, so only TFC's side needs TensorFlow.

References:
  https://github.com/tensorflow/compression, version 2.14.1.
"""

import re
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Float32

from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.errors import UserError

_NAME = re.compile(r"(?:.*/)?((?:matrix|bias|factor)_\d+)(?::\d+)?")
"""Name of a variable, between its scope and the number of an output."""

_KINDS = (("matrix", "matrices"), ("bias", "biases"), ("factor", "gates"))
"""Name of each parameter of a layer in TFC, and attribute of `FactorizedPrior`."""


def factorized_prior(
    variables: Mapping[str, Float[np.ndarray, "..."]],
) -> FactorizedPrior:
    """Returns the prior with the parameters of a distribution of TFC.

    Channels are the elements of the distribution's batch shape, in their order.

    Args:
      variables: Parameters by name, from `matrix_0`, `bias_0` and `factor_0` on, in any
        scope: `{v.name: v.numpy() for v in distribution.variables}`. Biases and factors
        may lack their last axis, of length 1, as they do in CoDeX.

    Raises:
      UserError: If the variables are not the parameters of one distribution.
    """
    arrays = _without_scopes(variables)
    count = _checked_layers(arrays)
    matrices = [arrays[f"matrix_{layer}"] for layer in range(count)]
    for layer, matrix in enumerate(matrices):
        if matrix.ndim != 3:
            raise UserError(
                f"matrix_{layer} must have the shape (channels, outputs, inputs), but "
                f"has {matrix.shape}"
            )
    channels = len(matrices[0])
    widths = [matrix.shape[1] for matrix in matrices[:-1]]
    prior = FactorizedPrior(channels, hidden_widths=widths, rngs=nnx.Rngs(0))
    for name, parameter in _parameters(prior).items():
        array, shape = arrays[name], parameter.shape
        tfc_shape = _tfc_shape(name, shape)
        if array.shape not in (shape, tfc_shape):
            raise UserError(
                f"{name} must have the shape {tfc_shape} in a prior of {channels} "
                f"channels with hidden widths {tuple(widths)}, but has {array.shape}"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{name} must be finite, but is not")
        parameter[...] = jnp.asarray(array.reshape(shape), jnp.float32)
    return prior


def deep_factorized(prior: FactorizedPrior) -> dict[str, Float32[np.ndarray, "..."]]:
    """Returns the parameters of a prior, with the names and shapes of `DeepFactorized`.

    The `DeepFactorized` to assign them to has the batch shape `(channels,)`, and the
    hidden widths of the prior as its `num_filters`. Each variable takes the array of
    its name, without scope and output number.
    """
    return {
        name: np.asarray(parameter, np.float32).reshape(
            _tfc_shape(name, parameter.shape)
        )
        for name, parameter in _parameters(prior).items()
    }


def _parameters(prior: FactorizedPrior) -> dict[str, nnx.Param]:
    """Returns the parameters of a prior by their names in TFC."""
    return {
        f"{kind}_{layer}": parameter
        for kind, attribute in _KINDS
        for layer, parameter in enumerate(getattr(prior, attribute))
    }


def _tfc_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if name.startswith("matrix") else (*shape, 1)


def _without_scopes(
    variables: Mapping[str, Float[np.ndarray, "..."]],
) -> dict[str, Float[np.ndarray, "..."]]:
    """Returns the arrays by their names without scope and output number."""
    full_names: dict[str, str] = {}
    for name in variables:
        match = _NAME.fullmatch(name)
        if match is None:
            raise UserError(
                "parameters of a factorized prior are named matrix_N, bias_N and "
                f"factor_N, but one is {name!r}"
            )
        if match[1] in full_names:
            raise UserError(
                f"parameters must be of one prior, but {full_names[match[1]]!r} and "
                f"{name!r} are of two"
            )
        full_names[match[1]] = name
    return {short: variables[name] for short, name in full_names.items()}


def _checked_layers(names: Iterable[str]) -> int:
    """Returns the number of layers, after checking that none lacks a parameter."""
    names = set(names)
    layers = [int(name.rpartition("_")[2]) for name in names if name[0] != "f"]
    count = max(layers, default=0) + 1
    needed = {f"{kind}_{layer}" for kind, _ in _KINDS for layer in range(count)}
    needed -= {f"factor_{count - 1}"}
    for verb, wrong in (("lack", needed - names), ("have", names - needed)):
        if wrong:
            raise UserError(
                f"parameters of a factorized prior of {count} layers must be a matrix "
                "and a bias of each and a factor of each but the last, but these "
                f"{verb} {', '.join(sorted(wrong))}"
            )
    return count
