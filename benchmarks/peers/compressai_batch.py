"""Converts folders with CompressAI; `batches.py` runs it in a separate environment.

    pip install compressai==1.2.8 torch numpy pillow
    python compressai_batch.py weights FILE.pth
    python compressai_batch.py compress FILE.pth IMAGES FOLDER
    python compressai_batch.py decompress FILE.pth FOLDER IMAGES

The first command writes seeded random weights of mbt2018-mean with 128 and 192 channels
and the tables that coding needs. The others load them, and convert all files of a
folder, one after another, with all threads that torch takes by itself: image to file,
and file to PNG at Pillow's default level, as CompressAI's `examples/codec.py` does.
"""

import pickle
import sys
from pathlib import Path

import compressai_coding as peer
import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # Not a dependency of jaxcorr.
from PIL import Image

STRIDE = 64


def write_weights(path: str) -> None:
    """Draws the weights of a model, computes its tables, and writes both."""
    model = peer.make_model("mbt2018-mean")
    model.update()
    torch.save(model.state_dict(), path)


def compress(model: torch.nn.Module, source: Path, target: Path) -> None:
    """Codes an image on the next canvas, and writes the strings and the size."""
    image = np.asarray(Image.open(source).convert("RGB"))
    height, width = image.shape[:2]
    pad = (0, -height % STRIDE), (0, -width % STRIDE), (0, 0)
    canvas = np.pad(image, pad, "edge").astype(np.float32) / 255
    coded = model.compress(torch.from_numpy(canvas).permute(2, 0, 1)[None])
    content = coded["strings"], tuple(coded["shape"]), (height, width)
    target.with_suffix(".bin").write_bytes(pickle.dumps(content))


def decompress(model: torch.nn.Module, source: Path, target: Path) -> None:
    """Decodes a file to PNG."""
    strings, shape, (height, width) = pickle.loads(source.read_bytes())
    image = model.decompress(strings, shape)["x_hat"][0, :, :height, :width]
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(target.with_suffix(".png"))


def main(action: str, weights: str, *folders: str) -> None:
    """Runs one of the commands."""
    if action == "weights":
        write_weights(weights)
        return
    convert = {"compress": compress, "decompress": decompress}[action]
    model = peer.models.MeanScaleHyperprior.from_state_dict(torch.load(weights))
    model.eval()
    source, target = map(Path, folders)
    target.mkdir(exist_ok=True)
    with torch.no_grad():
        for path in sorted(source.iterdir()):
            convert(model, path, target / path.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
