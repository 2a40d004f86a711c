import pytest

from jaxcorr import compatibility


@pytest.fixture
def float64():
    """Enables float64 in a test."""
    with compatibility.enable_x64(True):
        yield
