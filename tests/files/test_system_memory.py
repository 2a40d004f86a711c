"""Memory that is returned to the system."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcorr import system_memory


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * mmap.PAGESIZE


@pytest.mark.fast
@pytest.mark.parametrize("stop", [0, 1, 700, 1000])
def test_discarded_rows_leave_the_others_as_they_are(stop):
    before = np.full(5000, 3.0)
    array = np.full((1000, 13, 7), 3.0, np.float32)
    after = np.full(5000, 3.0)
    system_memory.discard_rows(array, stop)
    assert (array[stop:] == 3).all()
    assert (before == 3).all()
    assert (after == 3).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the memory")
def test_discarded_rows_take_no_memory():
    array = np.full((64, 2**20), 1, np.uint8)
    held = resident_bytes()
    system_memory.discard_rows(array, 48)
    assert held - resident_bytes() > 40 * 2**20
    assert (array[48:] == 1).all()


@pytest.mark.fast
def test_rows_of_a_view_are_not_discarded():
    array = np.full((1000, 20), 3.0)
    system_memory.discard_rows(array[:, :10], 1000)
    assert (array == 3).all()
