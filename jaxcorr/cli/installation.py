"""Versions of jaxcorr and of the packages that it uses, by the extras that need them.

The requirements are those of the installed distribution, so that they stand in
`pyproject.toml` only. No package is imported to find its version.
"""

import importlib.metadata
import platform
import re
from collections.abc import Iterator
from typing import NamedTuple

from jaxcorr.bitstream import container
from jaxcorr.cli import output
from jaxcorr.evaluation import environment

DISTRIBUTION = "jaxcorr"

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(\[(?P<extras>[^]]*)\])?\s*\(?(?P<bounds>[^;)]*)\)?\s*"
    r"(;(?P<marker>.*))?$"
)
_EXTRA = re.compile(r"""\s*(and)?\s*extra\s*==\s*["'](?P<extra>[^"']+)["']\s*""")
_NUMBERS = re.compile(r"\d+(\.\d+)*")


class Package(NamedTuple):
    """A package that jaxcorr or one of its extras requires.

    Attributes:
      name: Name of the distribution.
      bounds: Versions that are required, such as `>=0.7.2`; may be empty.
      marker: Platforms or versions of Python that need the package; empty for all.
      version: Installed version; None if it is not installed.
    """

    name: str
    bounds: str
    marker: str
    version: str | None

    @property
    def problem(self) -> str | None:
        """Reason why the package does not work, missing or too old; None if it does."""
        if self.version is None:
            return None if self.marker else f"{self.name} is missing"
        if self._is_too_old():
            return f"{self.name} {self.version} is installed, but needs {self.bounds}"
        return None

    def _is_too_old(self) -> bool:
        lowest = re.search(r">=\s*([^,\s]+)", self.bounds)
        if lowest is None or self.version is None:
            return False
        return _release(self.version) < _release(lowest[1])


def versions() -> dict[str, str | None]:
    """Returns the versions that decide what jaxcorr computes and which files it reads.

    The version is None for a package that is not installed.
    """
    return {
        DISTRIBUTION: environment.version_of(DISTRIBUTION),
        "Python": platform.python_version(),
        "jax": environment.version_of("jax"),
        "jaxlib": environment.version_of("jaxlib"),
        "format of files": str(container.VERSION),
    }


def describe_devices() -> list[str]:
    """Returns the platform and the model of each device that JAX uses, in words."""
    import jax

    return [
        f"{device.platform}, {environment.device_model(device)}"
        for device in jax.devices()
    ]


def print_details() -> None:
    """Prints versions and devices as details of a command."""
    output.print_detail(
        ", ".join(f"{name} {version}" for name, version in versions().items())
    )
    for device in describe_devices():
        output.print_detail(f"device {device}")


def extras() -> list[str]:
    """Returns the extras that jaxcorr can be installed with, in alphabetical order."""
    try:
        metadata = importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(metadata.get_all("Provides-Extra") or [])


def packages(extra: str = "") -> list[Package]:
    """Returns the packages that an extra needs, in addition to those of the core.

    Args:
      extra: Name of the extra; by default the core.
    """
    found = {package.name: package for package in _packages(DISTRIBUTION, extra)}
    return list(found.values())


def _packages(distribution: str, extra: str) -> Iterator[Package]:
    """Yields what a distribution needs for an extra, or without any."""
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue
        marker = match["marker"] or ""
        needed_by = _EXTRA.search(marker)
        if (needed_by["extra"] if needed_by else "") != extra:
            continue
        marker = _EXTRA.sub("", marker).strip()
        marker = marker.removeprefix("and ").strip()
        name = match["name"]
        if name != DISTRIBUTION:
            yield Package(
                name, match["bounds"].strip(), marker, environment.version_of(name)
            )
        # An extra of another distribution, such as jax[cuda12], or of our own.
        for other in filter(None, (match["extras"] or "").split(",")):
            yield from _packages(name, other.strip())


def _release(version: str) -> tuple[int, ...]:
    """Returns the numbers of a version, without the suffix of a pre-release."""
    numbers = _NUMBERS.match(version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
