"""Flags that make XLA compile fast, for programs that run once on tiny arrays."""

from jaxlib import version

FAST_COMPILATION = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if version.__version_info__ < (0, 11):
    # Fusion emitters take most of the compilation time. Later versions cannot disable
    # them.
    FAST_COMPILATION.append("--xla_cpu_use_fusion_emitters=false")


def flags(*, devices: int, more: str = "") -> str:
    """Returns `XLA_FLAGS` for simulated devices.

    Args:
      devices: Number of simulated devices.
      more: Further flags, which override earlier ones.
    """
    device_count = f"--xla_force_host_platform_device_count={devices}"
    return " ".join([device_count, *FAST_COMPILATION, more])
