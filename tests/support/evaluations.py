"""Made-up results of `jaxcorr evaluate`, as files."""

import json

from jaxcorr import serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.sweep import SweepConfig

KODAK = [f"kodim{number:02}.png" for number in range(1, 25)]
BPP = {0.0018: 0.12, 0.0067: 0.35, 0.018: 0.7, 0.0483: 1.2}
"""Bits per pixel of the models without the loss, by λ."""
PSNR = {0.0018: 27.0, 0.0067: 30.0, 0.018: 33.0, 0.0483: 36.0}
"""PSNR of all models, by λ."""


def model_metadata(
    distortion_weight, correlation_weight, *, seed=0, slices=None, **loss
):
    """Returns the description of a model that was trained with these settings."""
    codec = CodecConfig()
    if slices:
        codec = CodecConfig(context=Channelwise(slices=slices, support=2))
    sweep = SweepConfig(
        distortion_weight=distortion_weight,
        correlation_weight=correlation_weight,
        seed=seed,
    )
    config = TrainConfig(codec=codec, loss=LossConfig(**loss), sweep=sweep)
    member = {
        "seed": seed,
        "distortion_weight": distortion_weight,
        "correlation_weight": correlation_weight,
    }
    return {"run": serialization.to_json(config), "member": member}


def write_result(path, model, *, bpp, psnr, images=KODAK, **metrics):
    """Writes a result with the same measurements for all images."""
    mean = {
        "bpp": bpp,
        "bpp_y": 0.9 * bpp,
        "bpp_z": 0.1 * bpp,
        "psnr_db": psnr,
        "ms_ssim": 0.95,
        "correlation": 0.2,
        "encode_seconds": 0.1,
        "decode_seconds": 0.2,
    } | metrics
    row = {"width": 768, "height": 512} | mean
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "model": model,
        "images": [{"file": name} | row for name in images],
        "mean": mean,
    }
    path.write_text(json.dumps(table))


def write_runs(folder):
    """Writes runs of two seeds, each of four λ without the loss and with it.

    With the loss, the models of the first seed need 10 % fewer bits, those of the
    second seed 12 %.
    """
    for seed in (0, 1):
        run = folder / f"seed-{seed}"
        history = []
        for index, weight in enumerate(BPP):
            for alpha in (0.0, 0.1):
                member = 2 * index + bool(alpha)
                model = model_metadata(weight, alpha, seed=seed)
                write_result(
                    run / f"evaluation@{member}.json",
                    model | {"path": f"run@{member}"},
                    bpp=BPP[weight] * (0.9 - 0.02 * seed if alpha else 1),
                    psnr=PSNR[weight],
                    correlation=0.02 if alpha else 0.4,
                )
                for step, loss in ((10, 4.0), (20, 2.0 - alpha)):
                    line = {"step": step, "member": member, "rate_distortion": loss}
                    history.append(json.dumps(line))
        history.append('{"step": 30, "mem')  # The run was killed.
        (run / "held_out.jsonl").write_text("\n".join(history))
    return folder
