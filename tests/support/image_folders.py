"""Image folders that tests read, and the settings that read them."""

from pathlib import Path

import numpy as np
from PIL import Image

from jaxcorr.data import pipeline, sources
from jaxcorr.data.image_source import ImageSource
from jaxcorr.data.sources import DataConfig

SIZE = 64


def settings(**changes) -> DataConfig:
    return DataConfig(**{"crop_size": SIZE, "batch_size": 4, **changes})


def coordinates(number: int, height: int = 80, width: int = 96) -> np.ndarray:
    """An image whose pixels hold their row, their column and the image's number."""
    image = np.full((height, width, 3), number, np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


def take_batches(
    count: int, data: DataConfig, source: ImageSource, **options
) -> list[np.ndarray]:
    iterator = pipeline.batches(source, data, **options)
    batches = [next(iterator) for _ in range(count)]
    iterator.close()
    return batches


def write(path: Path, image: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)


def write_damaged(path: Path, image: np.ndarray) -> None:
    """Writes a file with a complete header and incomplete pixels."""
    write(path, image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def open_folder(folder: Path) -> ImageSource:
    return sources.training_source(settings(source=f"folder:{folder}"))
