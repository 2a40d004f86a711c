import jax
import pytest


@pytest.fixture
def float64():
    """Enables float64 in a test."""
    with jax.enable_x64(True):
        yield
