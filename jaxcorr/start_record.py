"""Records of how a run was made: a file in its directory for each of its starts.

A record has the time, the step, the command, the settings, the state of the config's
folder in git, the versions of all packages, the devices and the hosts. No start changes
the record of another.
"""

import collections
import datetime
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr import files, serialization
from jaxcorr.config import TrainConfig
from jaxcorr.training import distributed

FOLDER = "starts"
"""Folder of a run directory with a record for each start."""
VARIABLES = ("JAX_", "XLA_", "LIBTPU_")
"""Prefixes of the environment variables that are recorded."""
MAX_HOST = 64
"""Bytes of the name of a host that are recorded."""
GIT_SECONDS = 20
"""Seconds after which a call of git counts as hanging."""


def write_start(
    workdir: Path, config: TrainConfig, *, step: int, config_file: Path | None = None
) -> None:
    """Writes the record of a start of a run. Every process must call it.

    Args:
      workdir: The run directory.
      config: Settings of the run.
      step: Steps already taken.
      config_file: File of the config; None if the settings come from Python.
    """
    hosts = _all_hosts()
    if not distributed.is_first_process():
        return
    now = datetime.datetime.now(datetime.UTC)
    kinds = collections.Counter(device.device_kind for device in jax.devices())
    record = {
        "time": now.isoformat(timespec="seconds"),
        "step": step,
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "config": None if config_file is None else _describe_file(config_file),
        "settings": serialization.to_json(config),
        "devices": dict(kinds),
        "hosts": hosts,
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLES)
        },
        "versions": _versions(),
    }
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1) + "\n"
    name = now.strftime("%Y%m%dT%H%M%S.%fZ")
    files.write_file(folder / f"{name}.json", text.encode())


def git_state(file: Path) -> dict[str, Any] | None:
    """Returns the commit of the repository of a file, and whether anything differs.

    `is_changed` says whether the file or any tracked file differs from the commit. None
    if the file is in no repository, or git is missing.
    """
    commit = _git(file, "rev-parse", "HEAD")
    tracked = _git(file, "status", "--porcelain", "--untracked-files=no")
    own = _git(file, "status", "--porcelain", "--ignored", "--", file.name)
    if commit is None or tracked is None or own is None:
        return None
    return {"commit": commit, "is_changed": bool(tracked or own)}


def _describe_file(file: Path) -> dict[str, Any]:
    """Returns the path of a config file, and the state of its folder in git."""
    path = file.resolve()
    return {"file": str(path), "git": git_state(path)}


def _git(file: Path, *arguments: str) -> str | None:
    """Returns the output of git in the folder of a file; None after an error."""
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def _versions() -> Mapping[str, str]:
    """Returns the versions of Python and of all installed packages, by name."""
    installed = {
        package.metadata["Name"]: package.version
        for package in importlib.metadata.distributions()
    }
    names = sorted(filter(None, installed), key=str.lower)
    return {"Python": platform.python_version()} | {x: installed[x] for x in names}


def _all_hosts() -> Sequence[str]:
    """Returns the name of the host of each process."""
    own = socket.gethostname().encode()[:MAX_HOST].ljust(MAX_HOST, b"\0")
    if jax.process_count() == 1:
        names = [own]
    else:
        rows = multihost_utils.process_allgather(np.frombuffer(own, np.uint8))
        names = [np.asarray(row).tobytes() for row in rows]
    return [name.rstrip(b"\0").decode(errors="replace") for name in names]
