"""Factorized priors with the parameters of TensorFlow Compression, and the reverse.

The density of Ballé et al. 2018 has the same parameters there, in `DeepFactorized` and
`NoisyDeepFactorized`, as in `FactorizedPrior`. They pass as NumPy arrays under the
names of its variables, so TensorFlow is needed only where they come from, or go to.

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
"""Name of a variable, between the scope that it is in and the number of an output."""

_KINDS = (("matrix", "matrices"), ("bias", "biases"), ("factor", "gates"))
"""What the parameters of a layer are called there, and here."""


def factorized_prior(
    variables: Mapping[str, Float[np.ndarray, "..."]],
) -> FactorizedPrior:
    """The prior with these parameters, as wide as they are.

    Args:
      variables: By name, as `{v.name: v.numpy() for v in distribution.variables}`
        gives them: `matrix_0`, `bias_0`, `factor_0` and so on, in any scope. Channels
        are the elements of the distribution's batch shape, in their order. The last
        axis of biases and factors, of length 1, may be missing, as it is in CoDeX.

    Raises:
      UserError: If these are not all parameters of one such distribution.
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
    channels, *widths = (len(matrices[0]), *(m.shape[1] for m in matrices[:-1]))
    prior = FactorizedPrior(channels, hidden_widths=widths, rngs=nnx.Rngs(0))
    for name, parameter in _parameters(prior).items():
        array, shape = arrays[name], parameter.shape
        there = _shape_there(name, shape)
        if array.shape not in (shape, there):
            raise UserError(
                f"{name} must have the shape {there} in a prior of {channels} channels "
                f"with hidden widths {tuple(widths)}, but has {array.shape}"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{name} must be finite, but is not")
        parameter[...] = jnp.asarray(array.reshape(shape), jnp.float32)
    return prior


def deep_factorized(prior: FactorizedPrior) -> dict[str, Float32[np.ndarray, "..."]]:
    """Parameters of a prior, by name and in the shapes of a `DeepFactorized`.

    They are those of one with the batch shape and the `num_filters` that the arrays
    have, `(len(a["matrix_0"]),)` and the outputs of all matrices but the last. Each of
    its variables takes the array of its name, without scope and number.
    """
    return {
        name: np.asarray(parameter, np.float32).reshape(
            _shape_there(name, parameter.shape)
        )
        for name, parameter in _parameters(prior).items()
    }


def _parameters(prior: FactorizedPrior) -> dict[str, nnx.Param]:
    """Parameters of a prior by the names that they have there."""
    return {
        f"{kind}_{layer}": parameter
        for kind, ours in _KINDS
        for layer, parameter in enumerate(getattr(prior, ours))
    }


def _shape_there(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if name.startswith("matrix") else (*shape, 1)


def _without_scopes(
    variables: Mapping[str, Float[np.ndarray, "..."]],
) -> dict[str, Float[np.ndarray, "..."]]:
    """Arrays by what their names end in."""
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
    """How many layers there are, once it is certain that each is whole."""
    names = set(names)
    layers = [int(name.rpartition("_")[2]) for name in names if name[0] != "f"]
    count = max(layers, default=0) + 1
    needed = {f"{kind}_{layer}" for kind, _ in _KINDS for layer in range(count)}
    needed -= {f"factor_{count - 1}"}
    for fault, of in (("lack", needed - names), ("have", names - needed)):
        if of:
            raise UserError(
                f"parameters of a factorized prior of {count} layers must be a matrix "
                "and a bias of each and a factor of each but the last, but these "
                f"{fault} {', '.join(sorted(of))}"
            )
    return count
