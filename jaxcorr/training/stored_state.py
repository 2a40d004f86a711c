"""Train states of other runs, for branches and raw parameters."""

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from jaxcorr import paths
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath
from jaxcorr.run_directory import CHECKPOINTS
from jaxcorr.training import orbax_messages
from jaxcorr.training.checkpoints import STATE


def read_state(workdir: AnyPath, step: int, abstract_state: PyTree) -> PyTree:
    """Reads the train state of a checkpoint, into memory of the host.

    Args:
      workdir: The run directory.
      step: Step of the checkpoint.
      abstract_state: Shapes and dtypes of the train state.

    Raises:
      UserError: If the checkpoint cannot be read.
    """
    path = paths.absolute(workdir / CHECKPOINTS / str(step) / STATE)
    as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), abstract_state
    )
    orbax_messages.silence()
    try:
        with ocp.PyTreeCheckpointer() as reader:
            return reader.restore(
                path,
                args=ocp.args.PyTreeRestore(item=abstract_state, restore_args=as_numpy),
            )
    except Exception as error:  # Storage raises errors of many classes.
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} cannot be read: {reason:.200}") from error
