"""What every test shares: eight simulated devices, programs and strict ranks.

`JAXCORR_TEST_PLATFORMS` runs the tests elsewhere, and is what JAX_PLATFORMS is then; it
may be empty, for the best device that there is. Those that need eight devices fail on
fewer.
"""

import atexit
import ctypes
import gc
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from support import compilation

os.environ["JAX_PLATFORMS"] = os.environ.get("JAXCORR_TEST_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = compilation.flags(
    devices=8, more=os.environ.get("XLA_FLAGS", "")
)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Of this process, of those that it starts, and of the workers of pytest-xdist.
    programs = tempfile.mkdtemp(prefix="jaxcorr-programs-")
    atexit.register(shutil.rmtree, programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# A program that another process is writing at this moment is compiled once more.
os.environ["PYTHONWARNINGS"] = "ignore:Error reading persistent compilation cache"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
if os.environ["JAX_PLATFORMS"] != "cpu":
    # By default products of float32 arrays are shorter there than the tests expect.
    jax.config.update("jax_default_matmul_precision", "highest")


STARTED_FIRST = [
    f"test_{name}.py"
    for name in (
        "combinations",
        "sweep",
        "config_files",
        "resume",
        "distributed",
        "sharding",
    )
]
"""The files that take longest, so that none of them is what the others wait for."""

MEMORY = Path("/proc/self/statm")
PAGES = 1_300 * 2**20 // 4096
"""Memory in use from which on programs are freed."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in STARTED_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives a worker whole files, whose tests share fixtures, in the order above."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def _forget_programs():
    """Frees compiled programs now and then; who needs one again finds it on disk.

    Beside their memory, each has some of the 65,530 areas that Linux gives a process.
    """
    yield
    if MEMORY.exists() and int(MEMORY.read_text().split()[1]) > PAGES:
        jax.clear_caches()
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session", autouse=True)
def _give_memory_back():
    """Commands, which tests run in this process, would keep what they free."""
    from jaxcorr import runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "retain_freed_memory", lambda: None)
        yield


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_model():
    """A small random codec that can code files."""
    from support import (
        codecs,  # Here: types are checked only of what pytest imports after this file.
    )

    return codecs.make_model()


@pytest.fixture(scope="session")
def model_path(tiny_model, tmp_path_factory):
    """A model folder with the small random codec."""
    from jaxcorr import saved_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    saved_model.write_model(folder, tiny_model)
    return folder


@pytest.fixture
def jaxcorr(monkeypatch, capsys, tmp_path):
    """Runs a command; gives its exit status and what it printed to either stream."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")  # The command sets no own.
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxcorr", *map(str, arguments)])
        from jaxcorr.cli import main

        try:
            main.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capsys.readouterr()

    return run
