"""The lowest versions of Python and of packages that jaxcorr runs with."""

import importlib.metadata
import re
import sys

from jaxcorr.errors import UserError

PYTHON = "3.11"
PACKAGES = {"jax": "0.7.2", "flax": "0.11.2"}
"""Packages whose older versions would fail with an error that does not say why."""


def check_python() -> None:
    """Checks the version of Python, since a clone can be run by any.

    Raises:
      UserError: If it is too old.
    """
    running = ".".join(map(str, sys.version_info[:2]))
    if _numbers(running) < _numbers(PYTHON):
        raise UserError(
            f"this is Python {running}, but jaxcorr needs {PYTHON} or newer: "
            "make a new environment with one"
        )


def check_packages() -> None:
    """Checks the versions of JAX and Flax that are installed, without importing them.

    Raises:
      UserError: If one is too old.
    """
    for name, lowest in PACKAGES.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # The import says that it is missing.
        if _numbers(installed) < _numbers(lowest):
            raise UserError(
                f"{name} {installed} is installed, but jaxcorr needs {lowest} or "
                f"newer: pip install -U {name}"
            )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
