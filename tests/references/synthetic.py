"""Images made by formulas, the same ones for a reference and for what is tested."""

import numpy as np


def waves(height: int, width: int) -> np.ndarray:
    """Waves of many frequencies in three channels, as uint8 of shape [h, w, 3]."""
    i, j, c = np.mgrid[:height, :width, :3].astype(np.float64)
    value = (
        np.sin(2e-3 * i * j + c)
        + np.sin(0.05 * i + 0.11 * j * (1 + c))
        + 0.5 * np.sin(0.9 * i - 1.3 * j)
    )
    return np.round(127.5 + 50 * value).clip(0, 255).astype(np.uint8)


def grain(height: int, width: int) -> np.ndarray:
    """Integers from -8 to 7 without visible order, of shape [h, w, 3]."""
    i, j, c = np.mgrid[:height, :width, :3].astype(np.uint64)
    mixed = (i * np.uint64(7919) + j * np.uint64(104729) + c + np.uint64(1)) ** 2
    return (mixed // np.uint64(64) % np.uint64(16)).astype(np.int64) - 8


def pairs(height: int, width: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images beside what lossy codecs of different faults would return, all uint8."""
    image = waves(height, width).astype(np.int64)
    noise = grain(height, width)
    made = {
        "same": (image, image),
        "noise": (image, image + noise),
        "steps": (image, image // 32 * 32 + 16),
        "shift": (image, np.roll(image, 2, axis=1)),
        "brighter": (image, image + 20),
        "dark": (image // 32, image // 32 + 4),
        "flat": (image, 128 + noise),
        "negative": (image, 255 - image),
    }
    return {
        name: tuple(array.clip(0, 255).astype(np.uint8) for array in pair)
        for name, pair in made.items()
    }
