"""The arrangement of devices in a mesh, by the networks between them.

The chips of a slice of a TPU pod form a torus with fast links. Between slices data go
through the network of the data center.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

from jaxcorr.errors import UserError


def arrange(
    sizes: Mapping[str, int], devices: Sequence[Any], *, across_slices: Sequence[str]
) -> np.ndarray:
    """Arranges devices in an array with the axes of a mesh.

    Within a slice of TPUs, axes follow the links of the torus where they fit, and
    split them where they do not.

    Args:
      sizes: Number of devices along each axis, of which the last communicates most.
      devices: The devices, as many as the product of the sizes.
      across_slices: Axes that may extend over several slices, the best first.

    Raises:
      UserError: If the devices cannot be arranged so.
    """
    slices = _count_slices(devices)
    if slices == 1:
        return _create(sizes, devices, dict.fromkeys(sizes, 1))
    if len(devices) % slices:
        raise UserError(
            f"{len(devices)} devices in {slices} slices: slices must be equal in size; "
            "start all hosts of each slice"
        )
    axis = next((name for name in across_slices if sizes[name] % slices == 0), None)
    if axis is None:
        names = " or ".join(f"mesh.{name}" for name in across_slices)
        given = ", ".join(f"mesh.{name} {size}" for name, size in sizes.items())
        raise UserError(
            f"{names} must be a multiple of {slices}, the number of slices, but the "
            f"sizes are {given}: other axes stay within a slice of "
            f"{len(devices) // slices} devices"
        )
    return _create(sizes, devices, {name: 1 for name in sizes} | {axis: slices})


def _create(
    sizes: Mapping[str, int], devices: Sequence[Any], slices: Mapping[str, int]
) -> np.ndarray:
    """Arranges devices, of which `slices` has the number of slices along each axis."""
    within = [size // slices[name] for name, size in sizes.items()]
    reason = ""
    for split in (False, True):
        try:
            if math.prod(slices.values()) == 1:
                return mesh_utils.create_device_mesh(
                    within, devices, allow_split_physical_axes=split
                )
            return mesh_utils.create_hybrid_device_mesh(
                within,
                list(slices.values()),
                devices,
                allow_split_physical_axes=split,
            )
        except (AssertionError, NotImplementedError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
    given = " x ".join(f"mesh.{name} {size}" for name, size in sizes.items())
    raise UserError(
        f"{given} cannot be laid out on {len(devices)} devices of kind "
        f"{devices[0].device_kind}: give other sizes, such as the default ones "
        f"({reason:.200})"
    )


def _count_slices(devices: Sequence[Any]) -> int:
    """Returns the number of slices of a TPU pod; 1 for other devices.

    GPUs have numbers of slices, too, but any axis may extend over several hosts.
    """
    if devices[0].platform != "tpu":
        return 1
    return len({getattr(device, "slice_index", 0) for device in devices})
