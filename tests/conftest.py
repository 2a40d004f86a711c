"""Settings and fixtures of all tests: eight simulated devices and strict ranks.

`JAXCORR_TEST_PLATFORMS` overrides `JAX_PLATFORMS`, which is `cpu` otherwise. If it is
empty, JAX chooses the best device. Tests that need eight devices fail on fewer.
"""

import atexit
import ctypes
import gc
import os
import platform
import shutil
import signal
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
    # For this process, its child processes and the workers of pytest-xdist.
    programs = tempfile.mkdtemp(prefix="jaxcorr-programs-")
    atexit.register(shutil.rmtree, programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# The store of the user, which would let files find models, is none of the tests.
os.environ["JAXCORR_MODELS"] = os.path.join(tempfile.gettempdir(), "jaxcorr-no-models")
# A shell starts commands in the background deaf to Ctrl-C, and their children, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# If another process is writing a program to the cache, this one compiles it again.
os.environ["PYTHONWARNINGS"] = "ignore:Error reading persistent compilation cache"

import jax
import jaxtyping

jax.config.update("jax_numpy_rank_promotion", "raise")
if os.environ["JAX_PLATFORMS"] != "cpu":
    # By default accelerators multiply float32 matrices with less precision.
    jax.config.update("jax_default_matmul_precision", "highest")


STARTED_FIRST = [
    f"test_{name}.py"
    for name in (
        "transforms_with_context_models",
        "sweep",
        "sweep_runs",
        "config_files",
        "resume",
        "distributed",
        "sharding",
        "stages",
        "stablehlo",
    )
]
"""The slowest test files, which start first so that no worker ends long after."""

MEMORY = Path("/proc/self/statm")
PAGES = 1_300 * 2**20 // 4096
"""Memory in use, in pages, above which compiled programs are freed."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in STARTED_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distributes whole files, whose tests share fixtures, in the order above."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def _free_programs():
    """Frees compiled programs when they use too much memory.

    Programs that are needed again are read from disk. Each program also takes some of
    the 65,530 memory areas that Linux allows a process.
    """
    yield
    if MEMORY.exists() and int(MEMORY.read_text().split()[1]) > PAGES:
        jax.clear_caches()
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session", autouse=True)
def _release_freed_memory():
    """Keeps commands, which tests run in this process, from retaining freed memory."""
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
        codecs,  # Imported late: types are checked only in later imports.
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
    """Runs a command. Returns exit status, standard output and standard error."""
    # Keeps the command from setting a cache of its own.
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")
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


@pytest.fixture(scope="module")
def no_shape_checks():
    """Leaves shapes unchecked: jaxtyping cannot broadcast the symbols of an export.

    Shapes are checked where the same functions run on arrays, in most other tests.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
