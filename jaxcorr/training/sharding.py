"""Where arrays live: how devices are arranged, and which part of an array each holds.

Batches are split over `data` and `fsdp`, parameters and the moments of the optimizer
over `fsdp`, the members of a sweep over `sweep`. Shapes alone decide; no layer knows.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, ArrayLike, PyTree, UInt8

from jaxcorr import serialization
from jaxcorr.errors import FieldError, UserError, require

SWEEP, DATA, FSDP = "sweep", "data", "fsdp"
REST = -1


@serialization.stored("MeshShape")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How the devices of all processes are arranged; -1 takes those that are left."""

    data: int = REST
    """Parts of a batch that hold parameters of their own."""
    fsdp: int = 1
    """Devices that share one copy of parameters and moments, and split a batch too."""
    sweep: int = 1
    """Groups of devices that train different members of a sweep."""

    def __post_init__(self):
        """Checks the sizes."""
        sizes = {DATA: self.data, FSDP: self.fsdp, SWEEP: self.sweep}
        for name, size in sizes.items():
            require(self, name, "at least 1, or -1", size >= 1 or size == REST)
        if list(sizes.values()).count(REST) > 1:
            raise FieldError(
                self,
                DATA,
                "must be the only -1 of data, fsdp and sweep, but they are "
                f"{self.data}, {self.fsdp} and {self.sweep}",
            )


def make_mesh(shape: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Arranges devices: those of all processes, if none are given.

    Raises:
      UserError: If their number does not fit the shape.
    """
    devices = jax.devices() if devices is None else devices
    sizes = {SWEEP: shape.sweep, DATA: shape.data, FSDP: shape.fsdp}
    fixed = math.prod(size for size in sizes.values() if size != REST)
    left, remainder = divmod(len(devices), fixed)
    if remainder or (left != 1 and REST not in sizes.values()):
        raise UserError(
            f"mesh.data {shape.data} x mesh.fsdp {shape.fsdp} x mesh.sweep "
            f"{shape.sweep} must make up the {len(devices)} devices"
        )
    # Automatic axes: with explicit ones a sharded convolution is a type error.
    return jax.make_mesh(
        tuple(left if size == REST else size for size in sizes.values()),
        tuple(sizes),
        axis_types=(AxisType.Auto,) * len(sizes),
        devices=devices,
    )


def check_batch(mesh: Mesh, batch_size: int, micro_batches: int) -> None:
    """Refuses a batch that does not split evenly.

    Raises:
      UserError: If the batch is no multiple of the devices that share it, times
        micro-batches.
    """
    devices = mesh.shape[DATA] * mesh.shape[FSDP]
    if batch_size % (devices * micro_batches):
        raise UserError(
            f"data.batch-size must be a multiple of {devices * micro_batches} "
            f"({devices} devices x {micro_batches} step.micro-batches), "
            f"but is {batch_size}"
        )


def check_members(mesh: Mesh, members: int) -> None:
    """Refuses a sweep that does not split evenly.

    Raises:
      UserError: If the members are no multiple of the groups of devices.
    """
    if members % mesh.shape[SWEEP]:
        raise UserError(
            f"mesh.sweep must divide the {members} members of the sweep, "
            f"but is {mesh.shape[SWEEP]}"
        )


def parameter_spec(shape: Sequence[int], fsdp: int) -> PartitionSpec:
    """Splits the largest axis that `fsdp` devices can share evenly, if there is one."""
    fitting = [axis for axis, size in enumerate(shape) if size and size % fsdp == 0]
    if fsdp == 1 or not fitting:
        return PartitionSpec()
    largest = max(fitting, key=lambda axis: shape[axis])
    return PartitionSpec(
        *(FSDP if axis == largest else None for axis in range(largest + 1))
    )


def state_sharding(
    shape: Sequence[int], mesh: Mesh, *, members: bool = False
) -> NamedSharding:
    """Place of an array of a train state.

    Args:
      shape: Its shape.
      mesh: The devices.
      members: Whether a first axis counts the members of a sweep.
    """
    spec = parameter_spec(shape[members:], mesh.shape[FSDP])
    return NamedSharding(mesh, PartitionSpec(SWEEP, *spec) if members else spec)


def shard_state(state: PyTree, mesh: Mesh, *, members: bool = False) -> PyTree:
    """Puts a train state, which every process has whole, where it belongs."""
    return jax.tree.map(
        lambda x: _place(x, state_sharding(x.shape, mesh, members=members)), state
    )


def shard_abstract_state(state: PyTree, mesh: Mesh, *, members: bool = False) -> PyTree:
    """Shapes and places of the arrays of a train state, without their values."""

    def shape(x) -> jax.ShapeDtypeStruct:
        sharding = state_sharding(x.shape, mesh, members=members)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(shape, state)


def to_host(tree: PyTree, mesh: Mesh) -> PyTree:
    """Arrays on the host, whole in every process, wherever their parts are."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.device_get(_copy(tree, everywhere))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """A batch is split over all devices but those of other members of a sweep."""
    return NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


@functools.cache  # It is asked for at every step.
def local_rows(mesh: Mesh, batch_size: int) -> tuple[int, ...]:
    """Rows of a batch that devices of this process hold, ascending."""
    places = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
    held = np.unique([np.arange(batch_size)[each] for each in places.values()])
    return tuple(held.tolist())


def shard_batch(
    rows: UInt8[np.ndarray, "rows h w 3"], mesh: Mesh, batch_size: int
) -> Array:
    """The global batch, split over the devices.

    Args:
      rows: Those of `local_rows`.
      mesh: The devices.
      batch_size: Rows of the global batch.
    """
    held = local_rows(mesh, batch_size)

    def part(index: Any) -> np.ndarray:
        return rows[np.searchsorted(held, np.arange(batch_size)[index[0]])]

    shape = (batch_size, *rows.shape[1:])
    return jax.make_array_from_callback(shape, batch_sharding(mesh), part)


def shard_images(images: UInt8[np.ndarray, "n h w 3"], mesh: Mesh) -> Array:
    """Images that every process has, split over the devices if they can share them."""
    devices = mesh.shape[DATA] * mesh.shape[FSDP]
    everywhere = NamedSharding(mesh, PartitionSpec())
    return _place(images, everywhere if len(images) % devices else batch_sharding(mesh))


def replicate_in_step(parameters: PyTree) -> PyTree:
    """Within a compiled step: every device computes with whole parameters."""
    if not _mesh_axes():
        return parameters
    return jax.lax.with_sharding_constraint(parameters, PartitionSpec())


def shard_in_step(tree: PyTree) -> PyTree:
    """Within a compiled step: every device keeps its part of parameters alone."""
    fsdp = _mesh_axes().get(FSDP, 1)
    if fsdp == 1:
        return tree
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, parameter_spec(x.shape, fsdp)),
        tree,
    )


@functools.partial(jax.jit, static_argnums=1)
def _copy(tree: PyTree, sharding: NamedSharding) -> PyTree:
    return jax.lax.with_sharding_constraint(tree, sharding)


def _place(array: ArrayLike, sharding: NamedSharding) -> Array:
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _mesh_axes() -> dict[str, int]:
    """Axes of the mesh that a function is compiled for; none outside any."""
    return dict(jax.sharding.get_abstract_mesh().shape)
