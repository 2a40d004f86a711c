"""The train state."""

import dataclasses
from typing import Any

import jax
from jaxtyping import PyTree

from jaxcorr.training.averaging import average_of

NEVER = -1
"""Value of `failed_at` while every loss and gradient has been finite."""


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that training changes, and so everything that a checkpoint holds.

    The leaves are arrays or their shapes. A first axis may count members of a sweep. A
    state without statistics has the same structure as in earlier versions.

    Attributes:
      parameters: Parameters of the codec, by path.
      optimizer: State of the optimizer.
      step: Steps taken.
      failed_at: First step, from 0, whose loss or gradient was not finite; -1 if every
        step was finite. After a failure only `step` changes.
      statistics: Average over steps of what the loss needs of a batch; None unless the
        loss averages over steps.
    """

    parameters: PyTree
    optimizer: PyTree
    step: PyTree
    failed_at: PyTree
    statistics: PyTree = None

    @property
    def evaluated(self) -> PyTree:
        """Parameters of evaluations and model folders: the average, if there is one."""
        average = average_of(self.optimizer)
        return self.parameters if average is None else average

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """Returns the fields that are there, and their names, for JAX."""
        names = [field.name for field in dataclasses.fields(self)]
        if self.statistics is None:
            names.remove("statistics")
        key = jax.tree_util.GetAttrKey
        return [(key(name), getattr(self, name)) for name in names], tuple(names)

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Any) -> "TrainState":
        """Returns the state of fields and their names, for JAX."""
        return cls(**dict(zip(names, values, strict=True)))
