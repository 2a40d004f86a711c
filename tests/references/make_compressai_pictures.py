"""Writes `compressai_pictures.npz`: what CompressAI decodes of images of three sizes.

    pip install compressai==1.2.8 torch numpy pillow
    python tests/references/make_compressai_pictures.py

Last made with Python 3.11.7, CompressAI 1.2.8, torch 2.13.0 and NumPy 1.26.4. The
models are those of `make_compressai.py`, with finer latents. The images are the waves
of `synthetic.py`, padded to multiples of 64 by their last pixels. Latents over padding
alone are not coded: what predicts others sees zeros there, and the synthesis sees the
last latents again. Every third row and column of a picture is kept.
"""

from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # Not among ours.
from latent_steps import ARCHITECTURES, with_finer_latents
from make_compressai import ARCHITECTURES as MODELS
from synthetic import waves
from torch.nn import functional  # pyright: ignore[reportMissingImports]  # As above.

FOLDER = Path(__file__).parent
SIZES = [(192, 256), (192, 320), (333, 500)]
"""Heights and widths in pixels."""


def read_model(architecture: str) -> torch.nn.Module:
    """Returns a model with the committed weights, and finer latents."""
    model = MODELS[architecture]().eval()
    with np.load(FOLDER / f"compressai-{architecture}.npz") as arrays:
        state = {
            name.removeprefix("state/"): arrays[name]
            for name in arrays
            if name.startswith("state/")
        }
    finer = with_finer_latents(state, architecture)
    model.load_state_dict({name: torch.from_numpy(x) for name, x in finer.items()})
    return model


def quantize(
    model: torch.nn.Module, y: torch.Tensor, features: torch.Tensor, coded: torch.Tensor
) -> torch.Tensor:
    """Returns latents rounded around their means, and zeros where none is coded."""
    if not hasattr(model, "context_prediction"):
        mean = features.chunk(2, 1)[1]
        return torch.where(coded, torch.round(y - mean) + mean, 0.0)
    masked = model.context_prediction
    kernel = masked.weight * masked.mask
    padded = functional.pad(torch.zeros_like(y), (2, 2, 2, 2))
    for row, column in torch.nonzero(coded).tolist():
        square = padded[..., row : row + 5, column : column + 5]
        described = functional.conv2d(square, kernel, masked.bias)
        here = features[..., row : row + 1, column : column + 1]
        both = torch.cat((here, described), dim=1)
        mean = model.entropy_parameters(both).chunk(2, 1)[1][..., 0, 0]
        center = y[..., row, column]
        padded[..., row + 2, column + 2] = torch.round(center - mean) + mean
    return padded[..., 2:-2, 2:-2]


def decode(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """Returns the 8-bit picture that a decoder shows."""
    height, width = image.shape[:2]
    margins = [(0, -height % 64), (0, -width % 64), (0, 0)]
    padded = np.pad(image, margins, mode="edge").astype(np.float32) / 255
    y = model.g_a(torch.from_numpy(padded).permute(2, 0, 1)[None])
    medians = model.entropy_bottleneck.quantiles[:, 0, 1].reshape(1, -1, 1, 1)
    features = model.h_s(torch.round(model.h_a(y) - medians) + medians)
    rows, columns = -(-height // 16), -(-width // 16)
    coded = torch.zeros(y.shape[2:], dtype=torch.bool)
    coded[:rows, :columns] = True
    y_hat = quantize(model, y, features, coded)
    if bool(coded.all()) and hasattr(model, "context_prediction"):
        check_loop(model, y, features, y_hat)
    margins = (0, y.shape[3] - columns, 0, y.shape[2] - rows)
    seen = functional.pad(y_hat[..., :rows, :columns], margins, mode="replicate")
    picture = model.g_s(seen)[0].permute(1, 2, 0)[:height, :width]
    levels = torch.round(picture.clip(0, 1) * 255).to(torch.uint8).numpy()
    inside = float(np.mean((levels > 0) & (levels < 255)))
    print(f"{width} x {height}: deviation {levels.std():.1f}, not clipped {inside:.3f}")
    return levels


def check_loop(model: torch.nn.Module, y, features, y_hat: torch.Tensor) -> None:
    """Checks that the loop codes what CompressAI codes."""
    model.update(force=True)
    padded = functional.pad(y, (2, 2, 2, 2))
    # It leaves in its input, in raster order, the latents that it codes.
    model._compress_ar(padded, features, *y.shape[2:], 5, 2)
    difference = (padded[..., 2:-2, 2:-2] - y_hat).abs().max()
    assert difference < 1e-3, difference


@torch.no_grad()
def main() -> None:
    """Writes the pictures of all models and sizes."""
    pictures = {}
    for architecture in ARCHITECTURES:
        model = read_model(architecture)
        print(architecture)
        for height, width in SIZES:
            picture = decode(model, waves(height, width))
            pictures[f"{architecture}/{width}x{height}"] = picture[::3, ::3]
    np.savez_compressed(FOLDER / "compressai_pictures.npz", **pictures)


if __name__ == "__main__":
    main()
