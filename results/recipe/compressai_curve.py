"""Trains CompressAI's mean-scale hyperprior; `learning_curve.py` runs it.

    python compressai_curve.py OPTIONS < CROPS

OPTIONS is a JSON object with the fields of `learning_curve.Peer`. The crops of all
steps are read from standard input as bytes, row by row and channels last. State dicts
are written as `STEP.pth.tar`. A GPU is used if there is one. A step is that of
jaxcorr: bits + λ MSE, the clipped
gradient, Adam with the given learning rates.
"""

import json
import math
import sys
from pathlib import Path

import torch  # pyright: ignore[reportMissingImports]  # Not a dependency of jaxcorr.

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "peers"))
import compressai_training  # pyright: ignore[reportMissingImports]  # noqa: F401
from compressai import models  # pyright: ignore[reportMissingImports]


def main(options: str) -> None:
    """Trains, and writes a state dict after some of the steps."""
    peer = json.loads(options)
    torch.manual_seed(peer["seed"])
    torch.set_num_threads(peer["threads"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = models.MeanScaleHyperprior(peer["width"], peer["channels"])
    model = model.to(device).train()
    # Quantiles of the tables have an optimizer of their own in CompressAI.
    parameters = [
        parameter
        for name, parameter in model.named_parameters()
        if not name.endswith("quantiles")
    ]
    optimizer = torch.optim.Adam(parameters, lr=peer["learning_rates"][0])
    shape = peer["batch"], peer["crop"], peer["crop"], 3
    for step, rate in enumerate(peer["learning_rates"], 1):
        data = bytearray(sys.stdin.buffer.read(math.prod(shape)))
        crops = torch.frombuffer(data, dtype=torch.uint8).reshape(shape)
        images = crops.to(device).permute(0, 3, 1, 2).contiguous().float() / 255
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        out = model(images)
        bits = sum(x.log().sum() for x in out["likelihoods"].values()) / -math.log(2)
        mse = 255**2 * torch.mean((out["x_hat"] - images) ** 2)
        loss = bits / math.prod(shape[:3]) + peer["distortion_weight"] * mse
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, peer["gradient_clip"])
        optimizer.step()
        if step % peer["save_every"] == 0:
            path = Path(peer["folder"]) / f"{step}.pth.tar"
            torch.save({"state_dict": model.state_dict()}, path)
        if step % 50 == 0:
            print(f"CompressAI step {step}: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
