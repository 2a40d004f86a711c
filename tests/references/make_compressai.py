"""Writes `compressai-ARCHITECTURE.npz`: what CompressAI makes of a photograph.

    pip install compressai==1.2.8 torch numpy pillow
    python tests/references/make_compressai.py

Last made with Python 3.11.7, CompressAI 1.2.8, torch 2.13.0 and NumPy 1.26.4. Weights
are random, but scaled until latents are some steps wide and scales lie on both sides of
their bound. The photograph, `astronaut.png`, is rows 80 to 144 and columns 160 to 288
of `skimage.data.astronaut()`, which NASA has released into the public domain.
"""

import itertools
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # Not among ours.
from PIL import Image
from torch.nn import functional  # pyright: ignore[reportMissingImports]  # As above.

# CompressAI imports torchvision, which refuses to load on a CPU build of torch unless
# these operators are known. It calls neither.
operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from compressai import models  # noqa: E402  # pyright: ignore[reportMissingImports]

FOLDER = Path(__file__).parent
ARCHITECTURES = {
    "mbt2018-mean": lambda: models.MeanScaleHyperprior(8, 12),
    "mbt2018": lambda: models.JointAutoregressiveHierarchicalPriors(8, 12),
    "cheng2020-anchor": lambda: models.Cheng2020Anchor(8),
    "cheng2020-attn": lambda: models.Cheng2020Attention(8),
}
GAINS = {
    "mbt2018-mean": {"g_a.6": 12.0, "h_a.4": 20.0, "h_s.4": 6.0, "g_s.6": 0.8},
    "mbt2018": {
        **{"g_a.6": 16.0, "h_a.4": 20.0, "g_s.6": 1.3},
        **{"h_s.4": 4.0, "context_prediction": 2.0, "entropy_parameters.4": 4.0},
    },
    "cheng2020-anchor": {
        **{"g_a.6": 8.0, "h_a.8": 20.0, "g_s.7.0": 0.1},
        **{"h_s.8": 4.0, "context_prediction": 2.0, "entropy_parameters.4": 5.0},
    },
    "cheng2020-attn": {
        **{"g_a.7": 5.0, "h_a.8": 20.0, "g_s.9.0": 0.005},
        **{"context_prediction": 1.5, "entropy_parameters.4": 2.0},
    },
}
"""By how much, instead of 1.5, the weights of these layers grow."""
SMALLEST_MARGIN = 5e-4
"""Distance of every latent from a rounding boundary: float32 decides none of them."""


def made_model(architecture: str, seed: int) -> torch.nn.Module:
    """A model whose every parameter is away from its start."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture]().eval()
    gains = GAINS[architecture]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            layer, _, kind = name.rpartition(".")
            if name.endswith("quantiles"):
                parameter[:, 0, 1] += torch.randn(len(parameter))
            elif name.startswith("entropy_bottleneck"):
                parameter += 0.3 * torch.randn_like(parameter)
            elif kind in ("beta", "gamma"):
                parameter += 0.1 * torch.rand_like(parameter)
            elif kind == "bias":
                parameter += 0.1 * torch.randn_like(parameter)
            else:
                parameter *= gains.get(layer, 1.5)
        last = getattr(model, "entropy_parameters", model.h_s)[-1]
        last.bias[: len(last.bias) // 2] += 1.0  # Scales; means follow.
        colors = [x for name, x in model.g_s.named_parameters() if "bias" in name][-1]
        colors += 0.5
    return model


def hyperprior(model: torch.nn.Module, x: torch.Tensor) -> tuple[dict, list[float]]:
    """Computes a model without context, and the margins of its rounding."""
    out = model(x)
    y, z, medians, features = side_information(model, x)
    scale, mean = features.chunk(2, 1)
    found = {
        "latent": y,
        "mean": mean,
        "scale": scale,
        "latent_hat": torch.round(y - mean) + mean,
        "reconstruction": out["x_hat"],
        "latent_bits": bits(out["likelihoods"]["y"]),
        "side_bits": bits(out["likelihoods"]["z"]),
    }
    return found, [margin(y, mean), margin(z, medians)]


def autoregressive(model: torch.nn.Module, x: torch.Tensor) -> tuple[dict, list[float]]:
    """Computes a model with context, as it codes and in its (different) forward pass.

    Coding rounds each latent around its mean, which is predicted from latents rounded
    so. Forward rounds all latents around 0 for the context and the synthesis.
    """
    out = model(x)
    y, z, medians, features = side_information(model, x)

    def predicted(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        described = model.context_prediction(seen)
        both = torch.cat((features, described), dim=1)
        scale, mean = model.entropy_parameters(both).chunk(2, 1)
        return scale, mean

    model.update(force=True)
    padded = functional.pad(y, (2, 2, 2, 2))
    # It leaves in its input, in raster order, the latents that it codes.
    model._compress_ar(padded, features, *y.shape[2:], 5, 2)
    y_hat = padded[..., 2:-2, 2:-2]
    scale, mean = predicted(y_hat)
    _, likelihood = model.gaussian_conditional(y, scale, means=mean)
    forward_scale, forward_mean = predicted(torch.round(y))
    found = {
        "latent": y,
        "mean": mean,
        "scale": scale,
        "latent_hat": y_hat,
        "reconstruction": model.g_s(y_hat),
        "latent_bits": bits(likelihood),
        "side_bits": bits(out["likelihoods"]["z"]),
        "forward_mean": forward_mean,
        "forward_scale": forward_scale,
        "forward_reconstruction": out["x_hat"],
        "forward_latent_bits": bits(out["likelihoods"]["y"]),
    }
    centers = [mean, forward_mean, torch.zeros_like(mean)]
    return found, [*(margin(y, center) for center in centers), margin(z, medians)]


def side_information(model: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Latents, side information, its medians, and features."""
    y = model.g_a(x)
    z = model.h_a(y)
    medians = model.entropy_bottleneck.quantiles[:, 0, 1].reshape(1, -1, 1, 1)
    return [y, z, medians, model.h_s(torch.round(z - medians) + medians)]


def bits(likelihood: torch.Tensor) -> torch.Tensor:
    """Information content."""
    return -torch.log2(likelihood)


def margin(values: torch.Tensor, centers: torch.Tensor) -> float:
    """Least distance of a value from where its rounding changes."""
    steps = (values - centers).double()
    return float((0.5 - (steps - steps.round()).abs()).min())


def write(architecture: str, x: torch.Tensor) -> None:
    """Writes weights, and what they make of the image, for the first good seed."""
    compute = hyperprior if architecture == "mbt2018-mean" else autoregressive
    for seed in itertools.count(1):
        model = made_model(architecture, seed)
        state = {f"state/{name}": x.numpy() for name, x in model.state_dict().items()}
        found, margins = compute(model, x)
        if min(margins) > SMALLEST_MARGIN:
            break
    print(f"{architecture}, seed {seed}, margins {margins}")
    for name, array in found.items():
        print(f"{name:24} {array.min():9.3f} {array.max():9.3f} {array.std():9.3f}")
    last = {name: array.permute(0, 2, 3, 1).numpy() for name, array in found.items()}
    np.savez_compressed(FOLDER / f"compressai-{architecture}.npz", **state, **last)


@torch.no_grad()
def main() -> None:
    """Writes a file for each architecture."""
    with Image.open(FOLDER / "astronaut.png") as photograph:
        image = np.asarray(photograph, np.float32) / 255
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    for architecture in ARCHITECTURES:
        write(architecture, x)


if __name__ == "__main__":
    main()
