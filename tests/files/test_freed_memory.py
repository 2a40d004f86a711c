"""Memory of the process, which `runtime.retain_freed_memory` retains."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from jaxcorr import runtime

def page_faults():
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[7])

if sys.argv[1] == "retain":
    runtime.retain_freed_memory()
for _ in range(3):
    before = page_faults()
    np.full(2**26, 1, np.uint8)
print(page_faults() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc has these options"
)
def test_large_arrays_reuse_freed_memory():
    faults = {}
    for mode in ("retain", "default"):
        command = [sys.executable, "-c", PROGRAM, mode]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[mode] = int(process.stdout)
    # 64 MiB in pages of 4 KiB, or in huge ones of 2 MiB.
    assert faults["default"] >= 32
    assert faults["retain"] < 8
