"""Checks the installation: versions, device, extras, cache folders and a self-test."""

import dataclasses
import os
import platform
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxcorr import paths, runtime
from jaxcorr.cli import installation, output
from jaxcorr.cli.arguments import JsonPath
from jaxcorr.errors import UserError

WIDTH = 80
"""Width of the report, in characters."""
LABEL_WIDTH = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the report.

    Attributes:
      label: What the line is about.
      value: What was found; JSON.
      text: The value in words.
      is_problem: Whether something is wrong that keeps jaxcorr from working.
    """

    label: str
    value: Any
    text: str
    is_problem: bool = False


def doctor(json: JsonPath = None) -> None:
    """Checks the installation, and describes it for reports.

    Lists versions, packages, devices and cache folders, and codes a small image.
    """
    if json is not None:
        output.check_json(json)
    stream = output.text_stream(json)
    report: dict[str, dict[str, Any]] = {}
    problems = 0
    for title, find in SECTIONS.items():
        print(f"{title}", file=stream, flush=True)
        entries = _collect(title, find)
        for entry in entries:
            print(_format(entry), file=stream, flush=True)
        report[title.lower()] = {entry.label: entry.value for entry in entries}
        problems += sum(entry.is_problem for entry in entries)
    failed = f"{problems} check{'' if problems == 1 else 's'} failed"
    verdict = failed if problems else "all is well"
    if json is not None:
        output.write_json(json, {**report, "problems": problems})
    print(f"jaxcorr: {verdict}", file=stream)
    if problems:
        sys.exit(1)


def _find_versions() -> Iterator[Entry]:
    for name, version in installation.versions().items():
        yield Entry(label=name, value=version, text=version or "not installed")
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield Entry(label="system", value=system, text=system)
    yield Entry(label="interpreter", value=sys.executable, text=sys.executable)


def _find_core() -> Iterator[Entry]:
    packages = installation.packages()
    for package in packages:
        problem = package.problem
        yield Entry(
            label=package.name,
            value=package.version,
            text=f"{problem}: pip install '{package.name}{package.bounds}'"
            if problem
            else package.version or f"not installed; needed if {package.marker}",
            is_problem=problem is not None,
        )
    if not packages:
        text = "the requirements are unknown: jaxcorr is not installed by pip"
        yield Entry(label="packages", value=None, text=text)


def _find_extras() -> Iterator[Entry]:
    for extra in installation.extras():
        packages = installation.packages(extra)
        problems = [package.problem for package in packages if package.problem]
        versions = {package.name: package.version for package in packages}
        hint = f"pip install '{installation.DISTRIBUTION}[{extra}]'"
        installed = ", ".join(f"{name} {v}" for name, v in versions.items() if v)
        yield Entry(
            label=extra,
            value=versions,
            text=f"{', '.join(problems)}: {hint}" if problems else installed,
        )


def _find_device() -> Iterator[Entry]:
    runtime.check_device()
    runtime.enable_compilation_cache()
    for index, device in enumerate(installation.describe_devices()):
        yield Entry(label=f"device {index}", value=device, text=device)
    threads = runtime.usable_threads()
    yield Entry(label="threads of the CPU", value=threads, text=str(threads))
    for name in ("JAX_PLATFORMS", "JAX_ENABLE_X64", "XLA_FLAGS"):
        if value := os.environ.get(name):
            yield Entry(label=name, value=value, text=value)


def _find_range_coder() -> Iterator[Entry]:
    from jaxcorr.bitstream import range_coder

    implementation = range_coder.implementation()
    yield Entry(label="implementation", value=implementation, text=implementation)


def _find_folders() -> Iterator[Entry]:
    data = os.environ.get("TFDS_DATA_DIR") or os.path.expanduser(
        "~/tensorflow_datasets"
    )
    folders = {
        "compiled programs": runtime.compilation_cache(),
        "lists of folders": runtime.folder_lists(),
        "data sets": paths.as_path(data),
    }
    for label, folder in folders.items():
        if folder is None:
            yield Entry(label=label, value=None, text="not kept: the user has no home")
            continue
        files = paths.files_below(folder)
        size = sum(map(paths.size_of, files))
        value = {"path": str(folder), "files": len(files), "bytes": size}
        text = f"{folder}: "
        text += f"{size / 1e6:.1f} MB in {len(files)} files" if files else "nothing"
        yield Entry(label=label, value=value, text=text)
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1e9:.1f} GB here"
    yield Entry(label="free disk space", value=free, text=text)


def _find_self_test() -> Iterator[Entry]:
    runtime.check_device()
    from jaxcorr.cli import self_test

    for label, check in self_test.CHECKS.items():
        start = time.perf_counter()
        try:
            text, failed = check(), False
        except Exception as error:  # A check may fail in any way.
            text, failed = _describe_error(error), True
        seconds = time.perf_counter() - start
        value = {"passed": not failed, "result": text, "seconds": round(seconds, 3)}
        yield Entry(
            label=label,
            value=value,
            text=f"{'failed: ' if failed else ''}{text}, {seconds:.1f} s",
            is_problem=failed,
        )


SECTIONS: dict[str, Callable[[], Iterator[Entry]]] = {
    "Versions": _find_versions,
    "Packages": _find_core,
    "Extras": _find_extras,
    "Devices": _find_device,
    "Range coder": _find_range_coder,
    "Folders": _find_folders,
    "Self-test": _find_self_test,
}
"""Parts of the report, each of which yields entries."""


def _collect(title: str, find: Callable[[], Iterator[Entry]]) -> Sequence[Entry]:
    """Returns the entries of a part; an error is its last entry, a problem."""
    entries = []
    try:
        entries.extend(find())
    except Exception as error:  # An error in one part must not hide the others.
        text = _describe_error(error)
        entries.append(Entry(label="error", value=text, text=text, is_problem=True))
    return entries


def _describe_error(error: Exception) -> str:
    """Returns an error in one line, with its type if it is not a user's."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    return f"{type(error).__name__}: {message}"


def _format(entry: Entry) -> str:
    """Returns an entry as lines of at most `WIDTH` characters, if words fit."""
    mark = "!" if entry.is_problem else " "
    return textwrap.fill(
        entry.text,
        WIDTH,
        initial_indent=f"{mark} {entry.label:{LABEL_WIDTH - 1}} ",
        subsequent_indent=" " * (LABEL_WIDTH + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
