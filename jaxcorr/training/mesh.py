"""Where arrays live: one data axis over all devices."""

from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree, UInt8

from jaxcorr.errors import UserError


def data_mesh() -> Mesh:
    """All devices of all processes along one axis, over which batches are split."""
    # Automatic axes: with explicit ones a sharded convolution is a type error.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Puts a whole copy of every array on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_batch(rows: UInt8[np.ndarray, "rows h w 3"], mesh: Mesh) -> Array:
    """The global batch, of which this process holds `rows`, split over the devices."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return jax.make_array_from_process_local_data(sharding, rows)


def check_batch(batch_size: int, micro_batches: int) -> None:
    """Refuses a batch that does not split evenly.

    Raises:
      UserError: If the batch is no multiple of devices times micro-batches.
    """
    devices = jax.device_count()
    if batch_size % (devices * micro_batches):
        raise UserError(
            f"data.batch-size must be a multiple of {devices * micro_batches} "
            f"({devices} devices x {micro_batches} step.micro-batches), "
            f"but is {batch_size}"
        )


def place_abstract(tree: PyTree, mesh: Mesh) -> PyTree:
    """Shapes of arrays that will be replicated, for restoring them in place."""
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def cache_programs(workdir: Path) -> None:
    """Keeps compiled programs in the run directory: going on starts in seconds."""
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(workdir / "programs"))
        # There are a hundred small ones, which together take as long as the large.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
