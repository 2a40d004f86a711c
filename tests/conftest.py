"""What every test shares: eight simulated devices and strict ranks."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_model():
    """A small random codec that can code files."""
    import tiny  # Here: types are checked only of what pytest imports after this file.

    return tiny.make_model()
