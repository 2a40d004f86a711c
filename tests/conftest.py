"""What every test shares: eight simulated devices and strict ranks.

`JAXCORR_TEST_PLATFORMS` runs the tests elsewhere, and is what JAX_PLATFORMS is then; it
may be empty, for the best device that there is. Those that need eight devices fail on
fewer.
"""

import os
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = os.environ.get("JAXCORR_TEST_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
if os.environ["JAX_PLATFORMS"] != "cpu":
    # By default products of float32 arrays are shorter there than the tests expect.
    jax.config.update("jax_default_matmul_precision", "highest")


MAPPED_AREAS = Path("/proc/self/maps")
MANY_AREAS = 20_000


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Linux gives a process 65,530 areas of memory; every compiled program has some.

    Those of all tests together are more, and the compiler aborts where one is refused.
    """
    yield
    if MAPPED_AREAS.exists() and MAPPED_AREAS.read_text().count("\n") > MANY_AREAS:
        jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_model():
    """A small random codec that can code files."""
    import tiny  # Here: types are checked only of what pytest imports after this file.

    return tiny.make_model()


@pytest.fixture(scope="session")
def model_path(tiny_model, tmp_path_factory):
    """A model folder with the small random codec."""
    from jaxcorr import model_folder

    folder = tmp_path_factory.mktemp("models") / "tiny"
    model_folder.write_model(folder, tiny_model)
    return folder


@pytest.fixture
def jaxcorr(monkeypatch, capsys, tmp_path):
    """Runs a command; gives its exit status and what it printed to either stream."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")  # The command sets no own.
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxcorr", *map(str, arguments)])
        from jaxcorr import cli

        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capsys.readouterr()

    return run
