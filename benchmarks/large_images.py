"""Prints the seconds and the peak memory of coding images of up to 200 megapixels.

    python benchmarks/large_images.py [-m MODEL…] [--compressai PYTHON] [--table FILE]

Images are the packaged photographs, enlarged twice and repeated in mirrored tiles. Each
image is encoded in a process of its own and decoded in another, which may take
`--memory` if it is given. Peak memory is the resident memory of the process, with
Python and its libraries. A row says what went wrong where a codec does not get as far.
"""

import csv
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import UInt8

import jaxcorr
from jaxcorr import images, saved_model
from jaxcorr.codec import CodecConfig, initialize
from jaxcorr.data import built_in
from jaxcorr.evaluation.classical import CODECS
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

PEER = Path(__file__).parent / "peers" / "compressai_coding.py"
COLUMNS = (
    "codec",
    "megapixels",
    "encode_seconds",
    "encode_gigabytes",
    "decode_seconds",
    "decode_gigabytes",
    "bytes",
    "failure",
)
QUALITIES = {"jpegxl": 3.0, "avif": 50.0}
RANDOM = {
    "minnen-128-192": Minnen(width=128, channels=192),
    "cheng-128": Cheng(width=128),
    "swin-m": Swin(),
}
"""Transforms of models with random parameters, for their time and memory alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Images and codecs to measure."""

    model: tuple[str, ...] = ("demo", "minnen-128-192")
    """Models, or names of transforms with random parameters."""
    megapixels: tuple[float, ...] = (0.4, 2.0, 12.0, 24.0, 48.0)
    """Sizes of the images."""
    classical: tuple[str, ...] = ("jpegxl", "avif")
    """Classical codecs."""
    compressai: Path | None = None
    """Python of an environment with CompressAI, for mbt2018-mean."""
    memory: str | None = None
    """Limit of memory for the models, such as 2GB."""
    table: Path | None = None
    """CSV file to write."""


def main(settings: Settings) -> None:
    """Prints a row for each codec and size."""
    rows = []
    print(("{:>16}" * len(COLUMNS)).format(*COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in settings.megapixels:
            image = Path(folder) / "image.npy"
            np.save(image, make_image(megapixels))
            for codec in (*settings.model, *settings.classical):
                row = measure(codec, image, settings.memory or "")
                rows.append({"codec": codec, "megapixels": megapixels} | row)
                show(rows[-1])
            if settings.compressai is not None:
                row = measure_compressai(settings.compressai, image)
                rows.append({"codec": "compressai", "megapixels": megapixels} | row)
                show(rows[-1])
    if settings.table is not None:
        with settings.table.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def show(row: dict) -> None:
    """Prints a row."""
    print("".join(f"{row.get(name, ''):>16}" for name in COLUMNS), flush=True)


def make_image(megapixels: float) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a photograph of 3:2, of some megapixels and sides divisible by 64."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5 / 64) * 64
    width = round(1.5 * height / 64) * 64
    photograph, _ = images.read_image(built_in.held_out_paths()[1])
    tile = photograph.repeat(2, axis=0).repeat(2, axis=1)
    margins = [(0, max(height - tile.shape[0], 0)), (0, max(width - tile.shape[1], 0))]
    padded = np.pad(tile, [*margins, (0, 0)], mode="symmetric")
    return np.ascontiguousarray(padded[:height, :width])


def measure(codec: str, image: Path, memory: str) -> dict:
    """Returns seconds, memory and bytes of a codec, each in a process of its own."""
    row = {}
    for action in ("encode", "decode"):
        found = run([sys.executable, __file__, action, codec, str(image), memory])
        if "failure" in found:
            return row | found
        row["bytes"] = found.pop("bytes", row.get("bytes"))
        row |= {f"{action}_{name}": value for name, value in found.items()}
    return row


def run(command: list[str]) -> dict:
    """Runs a process that prints JSON, and returns it or what went wrong."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
        return {"failure": lines[-1][:80]}
    return json.loads(result.stdout.splitlines()[-1])


def measure_compressai(python: Path, image: Path) -> dict:
    """Returns seconds of mbt2018-mean with random weights, and the memory of both."""
    with tempfile.TemporaryDirectory() as folder:
        weights, picture = Path(folder) / "w.npz", Path(folder) / "image.png"
        images.write_image(picture, np.load(image))
        command = [str(python), str(PEER)]
        subprocess.run(
            [*command, "weights", "mbt2018-mean", str(weights)],
            check=True,
            capture_output=True,
        )
        code = (
            "import resource, runpy, sys; sys.argv = sys.argv[1:]; "
            "runpy.run_path(sys.argv[0], run_name='__main__'); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        arguments = ["time", "mbt2018-mean", str(weights), str(picture)]
        command = [str(python), "-c", code, str(PEER), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        return {"failure": f"status {result.returncode}"}
    seconds, peak = result.stdout.splitlines()[-2:]
    gigabytes = round(int(peak) * 1024 / 1e9, 2)
    row = {}
    for action, (value,) in json.loads(seconds).items():
        row[f"{action}_seconds"] = round(value, 2)
        row[f"{action}_gigabytes"] = gigabytes
    return row


def code(action: str, codec: str, image: Path, memory: str) -> None:
    """Encodes or decodes an image twice, and prints seconds and memory of the second.

    The first time compiles programs, or reads compiled ones.
    """
    coded = image.with_suffix(f".{codec}")
    if codec in CODECS:
        classical = CODECS[codec]

        def encode(pixels: np.ndarray) -> bytes:
            return classical.encode(pixels, QUALITIES[codec])

        def decode(data: bytes) -> np.ndarray:
            return classical.decode(data)
    else:
        model = open_model(codec)

        def encode(pixels: np.ndarray) -> bytes:
            return jaxcorr.compress(pixels, model, memory=memory or None)

        def decode(data: bytes) -> np.ndarray:
            return jaxcorr.decompress(data, model, memory=memory or None)

    start = 0.0
    for _ in range(1 if codec in CODECS else 2):
        pixels = np.load(image, mmap_mode="r") if action == "encode" else None
        data = None if action == "encode" else coded.read_bytes()
        start = time.perf_counter()
        if pixels is not None:
            coded.write_bytes(encode(np.asarray(pixels)))
        elif data is not None:
            decode(data)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"seconds": round(seconds, 2), "gigabytes": round(peak / 1e9, 2)}
    if action == "encode":
        result["bytes"] = coded.stat().st_size
    print(json.dumps(result))


def open_model(name: str) -> jaxcorr.Model:
    """Returns a model, or one with random parameters."""
    import jax

    if name not in RANDOM:
        return jaxcorr.load(name)
    settings = CodecConfig(transforms=RANDOM[name])
    drawn = initialize(settings, jax.random.key(0))
    return saved_model.make_model(
        settings, {k: np.asarray(v) for k, v in drawn.items()}
    )


if __name__ == "__main__":
    if sys.argv[1:2] in (["encode"], ["decode"]):
        code(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        main(tyro.cli(Settings))
