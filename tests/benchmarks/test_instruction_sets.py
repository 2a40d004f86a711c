"""Files travel to another instruction set and back."""

import os
from pathlib import Path

import instruction_sets
import pytest
import skimage
from PIL import Image

OTHER = os.environ.get("JAXCORR_EMULATED_PYTHON", "")
PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not OTHER,
        reason="JAXCORR_EMULATED_PYTHON names no Python of another instruction set, "
        "which .ci/aarch64 makes on Debian",
    ),
]


def test_files_decode_alike_on_another_instruction_set(tmp_path):
    path = tmp_path / "photograph.png"
    with Image.open(PHOTOGRAPH) as image:
        image.crop((64, 32, 320, 224)).save(path)
    row = instruction_sets.exchange("demo@2", OTHER, [str(path)])
    assert (row.files, row.equal, row.fast_wrong) == (2, 2, 0)
    # The control: float32 differs there, so the test of float64 says something.
    assert row.fast_difference > 0 or row.fast_refused
