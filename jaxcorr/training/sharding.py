"""The device mesh, and how arrays are sharded over it.

Batches are split over the mesh axes `data` and `fsdp`, parameters and optimizer moments
over `fsdp`, and the members of a sweep over `sweep`. A sharding depends on the shape of
an array alone, so no layer knows of devices.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, ArrayLike, PyTree, Shaped, UInt8

from jaxcorr import compatibility, serialization
from jaxcorr.errors import FieldError, UserError, require
from jaxcorr.hosts import device_order

SWEEP, DATA, FSDP = "sweep", "data", "fsdp"
"""Names of the mesh axes."""

REMAINING = -1
"""Size that stands for all devices that the other axes leave."""


@serialization.stored("MeshShape")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Number of devices along each axis of the mesh, over all processes.

    One size may be -1, which takes all remaining devices.
    """

    data: int = REMAINING
    """Copies of the parameters, each of which trains on a part of the batch (data
    parallelism). -1 takes all devices that the other sizes leave."""
    fsdp: int = 1
    """Devices that share one copy of parameters and optimizer moments (FSDP). They also
    split the batch. -1 takes all devices that the other sizes leave."""
    sweep: int = 1
    """Groups of devices that train different members of a sweep. -1 takes all devices
    that the other sizes leave."""

    def __post_init__(self):
        """Checks that sizes are at least 1, or -1 for one of them."""
        sizes = {DATA: self.data, FSDP: self.fsdp, SWEEP: self.sweep}
        for name, size in sizes.items():
            require(self, name, "at least 1, or -1", size >= 1 or size == REMAINING)
        if list(sizes.values()).count(REMAINING) > 1:
            raise FieldError(
                self,
                DATA,
                "must be the only -1 of data, fsdp and sweep, but they are "
                f"{self.data}, {self.fsdp} and {self.sweep}",
            )


def make_mesh(shape: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Arranges devices in a mesh.

    Args:
      shape: Number of devices along each axis.
      devices: The devices. If None, all devices of all processes.

    Raises:
      UserError: If the sizes do not multiply to the number of devices, or the devices
        cannot be arranged so.
    """
    devices = jax.devices() if devices is None else devices
    sizes = {SWEEP: shape.sweep, DATA: shape.data, FSDP: shape.fsdp}
    fixed = math.prod(size for size in sizes.values() if size != REMAINING)
    remaining, remainder = divmod(len(devices), fixed)
    if remainder or (remaining != 1 and REMAINING not in sizes.values()):
        raise UserError(
            f"mesh.data {shape.data} x mesh.fsdp {shape.fsdp} x mesh.sweep "
            f"{shape.sweep} must make up the {len(devices)} devices"
        )
    sizes = {
        name: remaining if size == REMAINING else size for name, size in sizes.items()
    }
    # FSDP exchanges most, and stays within a slice.
    arranged = device_order.arrange(sizes, devices, across_slices=(DATA, SWEEP))
    # Automatic axes: with explicit ones a sharded convolution is a type error.
    return Mesh(arranged, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def check_batch(
    mesh: Mesh, batch_size: int, micro_batches: int, *, where: str = ""
) -> None:
    """Checks that the batch splits evenly over devices and micro-batches.

    Args:
      mesh: The devices.
      batch_size: Images in a batch.
      micro_batches: Parts that a batch is computed in.
      where: Start of the message, such as the stage of the batch.

    Raises:
      UserError: If the batch size is not a multiple of the devices that share a batch,
        times the micro-batches.
    """
    devices = num_batch_devices(mesh)
    if batch_size % (devices * micro_batches):
        raise UserError(
            f"{where}data.batch-size must be a multiple of {devices * micro_batches} "
            f"({devices} devices x {micro_batches} step.micro-batches), "
            f"but is {batch_size}"
        )


def check_members(mesh: Mesh, members: int) -> None:
    """Checks that the members of a sweep split evenly over groups of devices.

    Raises:
      UserError: If `members` is not a multiple of the groups of devices.
    """
    if members % mesh.shape[SWEEP]:
        raise UserError(
            f"mesh.sweep must divide the {members} members of the sweep, "
            f"but is {mesh.shape[SWEEP]}"
        )


def parameter_spec(shape: Sequence[int], fsdp: int) -> PartitionSpec:
    """Returns the partition of a parameter over `fsdp` devices.

    The largest axis that splits evenly is split. Without one, every device holds the
    whole parameter.
    """
    divisible = [axis for axis, size in enumerate(shape) if size and size % fsdp == 0]
    if fsdp == 1 or not divisible:
        return PartitionSpec()
    largest = max(divisible, key=lambda axis: shape[axis])
    return PartitionSpec(
        *(FSDP if axis == largest else None for axis in range(largest + 1))
    )


def state_sharding(
    shape: Sequence[int], mesh: Mesh, *, members: bool = False
) -> NamedSharding:
    """Returns the sharding of an array of a train state.

    Args:
      shape: Shape of the array.
      mesh: The devices.
      members: Whether the first axis counts the members of a sweep.
    """
    spec = parameter_spec(shape[members:], mesh.shape[FSDP])
    return NamedSharding(mesh, PartitionSpec(SWEEP, *spec) if members else spec)


def shard_state(state: PyTree, mesh: Mesh, *, members: bool = False) -> PyTree:
    """Shards a train state over the mesh. Every process passes the whole state."""
    return jax.tree.map(
        lambda x: _place(x, state_sharding(x.shape, mesh, members=members)), state
    )


def shard_abstract_state(state: PyTree, mesh: Mesh, *, members: bool = False) -> PyTree:
    """Adds shardings to the shapes and dtypes of a train state, without its values."""

    def with_sharding(x) -> jax.ShapeDtypeStruct:
        sharding = state_sharding(x.shape, mesh, members=members)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(with_sharding, state)


def to_host(tree: PyTree, mesh: Mesh) -> PyTree:
    """Copies whole arrays to the host of every process, however they are sharded."""
    replicated = NamedSharding(mesh, PartitionSpec())
    return jax.device_get(_reshard(tree, replicated))


def num_batch_devices(mesh: Mesh) -> int:
    """Returns the number of devices that share a batch."""
    return mesh.shape[DATA] * mesh.shape[FSDP]


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: split over `data` and `fsdp`."""
    return NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


@functools.cache  # Every step calls it.
def local_rows(mesh: Mesh, batch_size: int) -> tuple[int, ...]:
    """Returns the rows of a batch that devices of this process hold, ascending."""
    indices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
    rows = np.unique([np.arange(batch_size)[index] for index in indices.values()])
    return tuple(rows.tolist())


def shard_batch(
    rows: UInt8[np.ndarray, "rows h w 3"], mesh: Mesh, batch_size: int
) -> Array:
    """Shards the global batch over the devices.

    Args:
      rows: Rows of the batch that `local_rows` names.
      mesh: The devices.
      batch_size: Rows of the global batch.
    """
    row_numbers = local_rows(mesh, batch_size)

    def shard(index: Any) -> np.ndarray:
        return rows[np.searchsorted(row_numbers, np.arange(batch_size)[index[0]])]

    shape = (batch_size, *rows.shape[1:])
    return jax.make_array_from_callback(shape, batch_sharding(mesh), shard)


def shard_images(images: Shaped[np.ndarray, "n ..."], mesh: Mesh) -> Array:
    """Shards images like a batch if they split evenly, and replicates them otherwise.

    Args:
      images: All images in every process, or another array with a row for each image.
      mesh: The devices.
    """
    replicated = NamedSharding(mesh, PartitionSpec())
    splits_evenly = len(images) % num_batch_devices(mesh) == 0
    return _place(images, batch_sharding(mesh) if splits_evenly else replicated)


def replicate_in_step(parameters: PyTree) -> PyTree:
    """Constrains parameters to be whole on every device (an all-gather under FSDP).

    Call it inside a compiled step. Without a mesh it does nothing.
    """
    if not current_mesh_axes():
        return parameters
    return compatibility.constrain_sharding(parameters, PartitionSpec())


def shard_in_step(tree: PyTree) -> PyTree:
    """Constrains parameters, gradients or moments to their FSDP shards.

    Call it inside a compiled step. XLA turns the sum of gradients over devices into a
    reduce-scatter. Without an FSDP mesh it does nothing.
    """
    fsdp = current_mesh_axes().get(FSDP, 1)
    if fsdp == 1:
        return tree
    return jax.tree.map(
        lambda x: compatibility.constrain_sharding(x, parameter_spec(x.shape, fsdp)),
        tree,
    )


@functools.partial(jax.jit, static_argnums=1)
def _reshard(tree: PyTree, sharding: NamedSharding) -> PyTree:
    return jax.lax.with_sharding_constraint(tree, sharding)


def _place(array: ArrayLike, sharding: NamedSharding) -> Array:
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def current_mesh_axes() -> dict[str, int]:
    """Returns the size of each axis of the current mesh; empty without a mesh."""
    return dict(jax.sharding.get_abstract_mesh().shape)
