"""The environment of a measurement: versions, device, threads and date.

Times depend on the environment, so results hold it under the key `environment`.
"""

import dataclasses
import datetime
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcorr import runtime

PACKAGES = ("jaxcorr", "jax", "jaxlib", "numpy", "pillow", "constriction")
"""Packages whose versions are recorded, besides that of Python."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment of a measurement; None for a missing value.

    Attributes:
      date: Time of the measurement in UTC, as ISO 8601.
      platform: Platform of the device that computed: `cpu`, `gpu` or `tpu`.
      device: Model of the device.
      threads: Threads of the CPU that the process may use.
      versions: Versions of Python and of the installed `PACKAGES`, by name.
    """

    date: str | None = None
    platform: str | None = None
    device: str | None = None
    threads: int | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the environment as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Environment":
        """Reads the result of `to_json`; everything is missing in earlier results."""
        known = values if isinstance(values, Mapping) else {}
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: known[name] for name in names if name in known})

    def hardware(self) -> str | None:
        """Returns the device in words, with the threads of a CPU; None if unknown."""
        if self.device is None:
            return None
        if self.platform != "cpu" or self.threads is None:
            return self.device
        plural = "" if self.threads == 1 else "s"
        return f"{self.device}, {self.threads} thread{plural}"


def current_environment(*, uses_jax: bool = True) -> Environment:
    """Returns the environment of this process.

    Args:
      uses_jax: Whether JAX computes, on its default device. Otherwise the CPU does.
    """
    kind, device = _jax_device() if uses_jax else ("cpu", _cpu_name())
    now = datetime.datetime.now(datetime.UTC)
    return Environment(
        date=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        platform=kind,
        device=device,
        threads=runtime.usable_threads(),
        versions=installed_versions(),
    )


def installed_versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages, by name."""
    found = {package: version_of(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {
        package: version for package, version in found.items() if version
    }


def version_of(name: str) -> str | None:
    """Returns the version of an installed distribution, or None without it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def device_model(device: Any) -> str:
    """Returns the model of a device of JAX, which calls every CPU `cpu`."""
    return _cpu_name() if device.platform == "cpu" else device.device_kind


def _jax_device() -> tuple[str, str]:
    """Returns the platform and the model of the default device of JAX."""
    import jax  # Versions are known without JAX, which takes long to import.

    device = jax.devices()[0]
    return device.platform, device_model(device)


def _cpu_name() -> str:
    """Returns the model of the CPU, or its architecture if it has no name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return next(iter(names), platform.processor() or platform.machine())
