from pathlib import Path

import numpy as np
import pytest
from support.image_folders import SIZE, write, write_damaged
from support.tile_folders import write_photographs


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(90, 100, 3), dtype=np.uint8)


@pytest.fixture
def mixed_folder(tmp_path, noise) -> Path:
    """Two good images, and three that are unusable in different ways."""
    folder = tmp_path / "photographs"
    write(folder / "b.png", noise)
    write(folder / "below" / "d.png", noise[:SIZE])
    write(folder / "small.png", noise[: SIZE - 1])
    (folder / "text.png").write_text("not an image")
    write_damaged(folder / "cut.jpg", noise)
    return folder


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A folder of ten files to cut into tiles."""
    return write_photographs(tmp_path / "photographs")
