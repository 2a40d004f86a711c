"""Peak rates of the devices of a run, and the memory that they use."""

from collections.abc import Sequence
from typing import Any

PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
}
"""Peak rate of a device in bfloat16 without sparsity, in floating-point operations per
second, by the name that JAX has for the device.

References:
  Google Cloud, "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e",
  https://cloud.google.com/tpu/docs/system-architecture-tpu-vm. NVIDIA, data sheets of
  A100, H100, H200 and L4, https://www.nvidia.com/en-us/data-center/. Those of H100,
  H200 and L4 state twice these rates, with sparsity.
"""


def peak_flops(devices: Sequence[Any]) -> float | None:
    """Returns the peak rate of devices together, in operations per second.

    None if it is not known for one of them, as for every CPU.
    """
    peaks = [PEAK_FLOPS.get(device.device_kind) for device in devices]
    known = [peak for peak in peaks if peak is not None]
    return sum(known) if len(known) == len(peaks) else None


def peak_memory(devices: Sequence[Any]) -> int | None:
    """Returns the most memory that a device has used so far, in bytes.

    None if the devices do not count it, as CPUs do not.

    Args:
      devices: Devices of this process.
    """
    statistics = [device.memory_stats() or {} for device in devices]
    peaks = [counts.get("peak_bytes_in_use") for counts in statistics]
    return max((peak for peak in peaks if peak is not None), default=None)
