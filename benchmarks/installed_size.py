"""Prints the sizes of the packages that are installed beside jaxcorr.

    nox -s size

This installs the core in a fresh environment and runs the script there. It fails if all
packages together take more than 800 MB, in units of 2**20 bytes as `du -m` prints them.
"""

import importlib.metadata
import os
import sys
import sysconfig
from pathlib import Path

LIMIT = 800
"""Maximum size of the core, in MB of 2**20 bytes."""
OF_THE_ENVIRONMENT = {"pip", "setuptools"}
"""Packages that an environment has before anything is installed."""
SHOWN = 12
"""Number of packages to print."""


def main() -> None:
    """Prints the largest packages and the sum."""
    sizes = {
        distribution.name: sum(map(_on_disk, distribution.files or ()))
        for distribution in importlib.metadata.distributions()
    }
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True)[:SHOWN]:
        print(f"{sizes[name]:7.1f} MB  {name}")
    # The sum has files and folders that no package lists, such as compiled modules.
    total = sum(map(_on_disk, Path(sysconfig.get_path("purelib")).rglob("*")))
    total -= sum(sizes.get(name, 0) for name in OF_THE_ENVIRONMENT)
    number = len(sizes.keys() - OF_THE_ENVIRONMENT)
    print(f"{total:7.1f} MB  {number} packages together")
    if total > LIMIT:
        sys.exit(f"the packages take more than {LIMIT} MB")


def _on_disk(path: Path | importlib.metadata.PackagePath) -> float:
    """Returns what a file takes on the disk in whole blocks, in MB."""
    located = (
        path.locate() if isinstance(path, importlib.metadata.PackagePath) else path
    )
    if not os.path.lexists(located):
        return 0.0
    return os.lstat(located).st_blocks * 512 / 2**20


if __name__ == "__main__":
    main()
