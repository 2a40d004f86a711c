"""Times CompressAI's coding; `complexity.py` runs it in a separate environment.

    pip install compressai==1.2.8 torch numpy pillow
    python compressai_coding.py weights ARCHITECTURE FILE.npz
    python compressai_coding.py time ARCHITECTURE FILE.npz IMAGE…

The first command writes seeded random weights, scaled so that latents span several
quantization steps. The second loads them and prints, as JSON, the seconds to encode and
to decode each image.
"""

import json
import sys
import time

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # Not a dependency of jaxcorr.
from PIL import Image

# Lets torchvision be imported beside a torch without its operators. Never called.
torchvision_operators = torch.library.Library("torchvision", "DEF")
for signature in (
    "nms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
    "qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
):
    torchvision_operators.define(signature)

from compressai import models  # noqa: E402  # pyright: ignore[reportMissingImports]

ARCHITECTURES = {
    "mbt2018-mean": lambda: models.MeanScaleHyperprior(128, 192),
    "mbt2018": lambda: models.JointAutoregressiveHierarchicalPriors(192, 192),
    "cheng2020-anchor": lambda: models.Cheng2020Anchor(128),
}
LATENT_GAIN = 10.0
SCALE = 1.0


def make_model(architecture: str) -> torch.nn.Module:
    """Returns a model with seeded random weights."""
    torch.manual_seed(0)
    model = ARCHITECTURES[architecture]()
    last = model.h_s if architecture == "mbt2018-mean" else model.entropy_parameters
    with torch.no_grad():
        model.g_a[6].weight *= LATENT_GAIN
        bias = last[-1].bias
        bias[: bias.numel() // 2] = SCALE
    return model


def write_weights(architecture: str, path: str) -> None:
    """Draws the weights of a model and writes them."""
    state = make_model(architecture).state_dict()
    arrays = {name: array.numpy() for name, array in state.items()}
    np.savez(path, **arrays)


def read_model(architecture: str, path: str) -> torch.nn.Module:
    """Returns the model with the weights that `write_weights` wrote."""
    model = ARCHITECTURES[architecture]()
    with np.load(path) as arrays:
        state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    model.load_state_dict(state)
    model.eval().update()
    return model


def seconds(model: torch.nn.Module, path: str) -> tuple[float, float]:
    """Returns seconds to encode and decode an image with sides divisible by 64."""
    Image.MAX_IMAGE_PIXELS = None  # The image is our own.
    array = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    image = torch.from_numpy(array).permute(2, 0, 1)[None]
    start = time.perf_counter()
    coded = model.compress(image)
    middle = time.perf_counter()
    model.decompress(**coded)
    return middle - start, time.perf_counter() - middle


def main(action: str, architecture: str, path: str, *images: str) -> None:
    """Runs one of the two commands."""
    if action == "weights":
        write_weights(architecture, path)
        return
    model = read_model(architecture, path)
    with torch.no_grad():
        seconds(model, images[0])  # A warm-up.
        encode, decode = zip(*(seconds(model, image) for image in images), strict=True)
    print(json.dumps({"encode": encode, "decode": decode}))


if __name__ == "__main__":
    main(*sys.argv[1:])
