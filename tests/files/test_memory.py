"""Memory of the process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from jaxcorr import runtime

def pages():
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[7])

if sys.argv[1] == "keep":
    runtime.retain_freed_memory()
for _ in range(3):
    before = pages()
    np.full(2**26, 1, np.uint8)
print(pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is tuned")
def test_a_large_array_takes_over_the_memory_of_the_one_before():
    faults = {}
    for how in ("keep", "give back"):
        command = [sys.executable, "-c", PROGRAM, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[how] = int(done.stdout)
    # 64 MiB in pages of 4 KiB, or in huge ones of 2 MiB.
    assert faults["give back"] >= 32
    assert faults["keep"] < 8
