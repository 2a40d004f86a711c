"""Draws photographs, their reconstructions by `demo@2`, and by JPEGs of the same size.

    python results/demo_picture.py

The photographs are two that scikit-image packages and that are in the public domain.
The JPEG is the best one that is not larger than the demo's file.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

import jaxcorr
from jaxcorr import images
from jaxcorr.data import built_in
from jaxcorr.evaluation import measure
from jaxcorr.visualization import reconstructions

MODEL = "demo@2"
TARGET = Path(__file__).resolve().parent / "show" / "demo.png"


def main() -> None:
    """Draws one row for each photograph."""
    paths = built_in.held_out_paths()
    figure = Figure(figsize=(7.5, 2 * len(paths)), layout="constrained")
    for row, path in zip(figure.subplots(len(paths), 3), paths, strict=True):
        pictures = compare(images.read_image(path)[0])
        for axis, (title, picture) in zip(row, pictures.items(), strict=True):
            axis.imshow(picture)
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
    reconstructions.save_figure(figure, TARGET)
    print(TARGET)


def compare(
    image: UInt8[np.ndarray, "h w 3"],
) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
    """Returns an image, the demo's reconstruction and a JPEG, by their titles."""
    data = jaxcorr.compress(image, MODEL, with_model_name=False)
    coded = {MODEL: (jaxcorr.decompress(data, MODEL), len(data))}
    coded["JPEG"] = best_jpeg(image, len(data))
    return {"original": image} | {
        f"{name}: {size} bytes, {measure.psnr_db(image, picture):.2f} dB": picture
        for name, (picture, size) in coded.items()
    }


def best_jpeg(
    image: UInt8[np.ndarray, "h w 3"], limit: int
) -> tuple[UInt8[np.ndarray, "h w 3"], int]:
    """Returns the best JPEG of at most `limit` bytes, decoded, and its size in bytes.

    Raises:
      ValueError: If no JPEG is that small.
    """
    for quality in range(95, 0, -1):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        if buffer.tell() <= limit:
            return np.asarray(Image.open(buffer)), buffer.tell()
    raise ValueError(f"no JPEG of the image has {limit} bytes or fewer")


if __name__ == "__main__":
    main()
