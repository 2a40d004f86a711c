"""Writes `compressai.npz`: CompressAI's mean-scale hyperprior on a synthetic image.

    pip install compressai==1.2.8 torch numpy
    python tests/references/make_compressai.py

Last made with Python 3.11.7, CompressAI 1.2.8, torch 2.13.0 and NumPy 1.26.4. Weights
are random, but scaled until latents are some steps wide and scales lie on both sides of
their bound.
"""

from pathlib import Path

import numpy as np
import synthetic
import torch  # pyright: ignore[reportMissingImports]  # Not among ours.

# CompressAI imports torchvision, which refuses to load on a CPU build of torch unless
# these operators are known. It calls neither.
operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from compressai import models  # noqa: E402  # pyright: ignore[reportMissingImports]

WIDTH, CHANNELS, HEIGHT, COLUMNS = 8, 12, 64, 128
SEED = 1
SMALLEST_MARGIN = 5e-4
"""Distance of every latent from a rounding boundary: float32 decides none of them."""


def made_model() -> torch.nn.Module:
    """A model whose every parameter is away from its start."""
    torch.manual_seed(SEED)
    model = models.MeanScaleHyperprior(WIDTH, CHANNELS).eval()
    gains = {"g_a.6": 20.0, "h_a.4": 20.0, "h_s.4": 6.0, "g_s.6": 0.2}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            layer, _, kind = name.rpartition(".")
            if name.endswith("quantiles"):
                parameter[:, 0, 1] += torch.randn(WIDTH)
            elif name.startswith("entropy_bottleneck"):
                parameter += 0.3 * torch.randn_like(parameter)
            elif kind in ("beta", "gamma"):
                parameter += 0.1 * torch.rand_like(parameter)
            elif kind == "bias":
                parameter += 0.1 * torch.randn_like(parameter)
            else:
                parameter *= gains.get(layer, 1.5)
        model.h_s[-1].bias[:CHANNELS] += 1.0  # Scales; means follow.
    return model


def margin(values: torch.Tensor, centers: torch.Tensor) -> float:
    """Least distance of a value from where its rounding changes."""
    steps = (values - centers).double()
    return float((0.5 - (steps - steps.round()).abs()).min())


def main() -> None:
    """Writes the weights, the image, and what the model makes of it."""
    model = made_model()
    image = synthetic.waves(HEIGHT, COLUMNS)
    x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        out = model(x)
        y = model.g_a(x).detach()
        z = model.h_a(y)
        medians = (
            model.entropy_bottleneck.quantiles[:, 0, 1].detach().reshape(1, -1, 1, 1)
        )
        z_hat = torch.round(z - medians) + medians
        scale, mean = model.h_s(z_hat).chunk(2, 1)
    found = {
        "latent": y,
        "mean": mean,
        "scale": scale,
        "reconstruction": out["x_hat"],
        "latent_bits": -torch.log2(out["likelihoods"]["y"]),
        "side_bits": -torch.log2(out["likelihoods"]["z"]),
    }
    margins = margin(y, mean), margin(z, medians)
    for name, array in found.items():
        print(f"{name:16} {array.min():9.3f} {array.max():9.3f} {array.std():9.3f}")
    print("side information", z.flatten().numpy().round(2), "margins", margins)
    assert min(margins) > SMALLEST_MARGIN, "Take another seed."
    weights = {
        f"weights/{name}": parameter.detach().numpy()
        for name, parameter in model.named_parameters()
    }
    last = {name: array.permute(0, 2, 3, 1).numpy() for name, array in found.items()}
    path = Path(__file__).with_name("compressai.npz")
    np.savez_compressed(path, image=image, **weights, **last)


if __name__ == "__main__":
    main()
