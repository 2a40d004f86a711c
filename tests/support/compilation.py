"""How much work XLA puts into a program: little, where it runs once on tiny arrays."""

from jaxlib import version

LITTLE = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if version.__version_info__ < (0, 11):
    # Takes most of the time to compile; later versions have nothing else.
    LITTLE.append("--xla_cpu_use_fusion_emitters=false")


def flags(*, devices: int, more: str = "") -> str:
    """`XLA_FLAGS` for so many simulated devices; of two values the last one counts."""
    device_count = f"--xla_force_host_platform_device_count={devices}"
    return " ".join([device_count, *LITTLE, more])
