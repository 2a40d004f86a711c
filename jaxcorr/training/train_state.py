"""The train state."""

import dataclasses

import jax
from jaxtyping import PyTree

from jaxcorr.training.averaging import average_of

NEVER = -1
"""Value of `failed_at` while every loss and gradient has been finite."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that training changes, and so everything that a checkpoint holds.

    The leaves are arrays or their shapes. A first axis may count members of a sweep.

    Attributes:
      parameters: Parameters of the codec, by path.
      optimizer: State of the optimizer.
      step: Steps taken.
      failed_at: First step, from 0, whose loss or gradient was not finite; -1 if every
        step was finite. After a failure only `step` changes.
    """

    parameters: PyTree
    optimizer: PyTree
    step: PyTree
    failed_at: PyTree

    @property
    def evaluated(self) -> PyTree:
        """Parameters of evaluations and model folders: the average, if there is one."""
        average = average_of(self.optimizer)
        return self.parameters if average is None else average
