"""Evaluation on whole images during training, against the analysis of each image."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from support import codecs

import jaxcorr
from jaxcorr import images, trainer
from jaxcorr.metrics import image_quality
from jaxcorr.provenance import Provenance
from jaxcorr.training import evaluation, held_out, sharding
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.held_out import HeldOut
from jaxcorr.training.run import Run
from jaxcorr.training.sharding import MeshConfig

SIZES = ((170, 300), (165, 170), (163, 250))
"""Two of the images share a canvas of 256 x 256."""
MODELS = [codecs.make_model(gain=gain) for gain in (1.0, 1.5)]
CONFIG = jaxcorr.TrainConfig(
    steps=2,
    codec=MODELS[0].config,
    loss=jaxcorr.LossConfig(window=3),
    sweep=jaxcorr.SweepConfig(distortion_weight=(0.01, 0.02), correlation_weight=0.1),
    data=jaxcorr.DataConfig(batch_size=8, crop_size=64),
)


@pytest.fixture(scope="module")
def photographs():
    return [codecs.blocks(*size, seed=seed) for seed, size in enumerate(SIZES)]


def make_run(photographs, crops, mesh, loss):
    devices = sharding.num_batch_devices(mesh)
    return Run(
        static_config=dataclasses.replace(CONFIG.static_config, loss=loss),
        members=CONFIG.members,
        stages=CONFIG.run_stages(),
        intervals=CONFIG.intervals,
        mesh=mesh,
        held_out=HeldOut(
            crops=crops,
            batches=held_out.batch_by_canvas(photographs, devices=devices),
        ),
        provenance=Provenance(),
    )


def normalize(output):
    normalized = (output.latent - output.mean) / np.maximum(output.scale, 0.11)
    return np.asarray(normalized, float)


def looped_loss(latents, *, pool=True):
    """The loss of the mean over the products of all images, for a window of 3."""
    maps = np.zeros((latents[0].shape[-1], 3, 3))
    for i, j in np.ndindex(3, 3):
        products = [
            x[1:-1, 1:-1] * x[i : x.shape[0] - 2 + i, j : x.shape[1] - 2 + j]
            for x in latents
        ]
        flat = np.concatenate([x.reshape(-1, x.shape[-1]) for x in products])
        maps[:, i, j] = flat.mean(axis=0)
    maps[:, 1, 1] = 0
    return (maps.mean(axis=0) ** 2).sum() if pool else (maps**2).sum((1, 2)).mean()


def expected_metrics(model, photographs, member, loss):
    """The metrics, from the analysis of each image by itself."""
    values, latents = [], []
    for image in photographs:
        output, area = model.analyze(image), image.shape[0] * image.shape[1]
        decoded = np.round(255 * np.clip(output.reconstruction, 0, 1).astype(float))
        mse = np.mean((decoded - image) ** 2)
        bpp_y = np.sum(output.latent_bits, dtype=float) / area
        bpp_z = np.sum(output.side_bits, dtype=float) / area
        (similarity,) = image_quality.ms_ssim(
            *(x[None].astype(float) / 255 for x in (decoded, image))
        )
        distortion = mse if loss.distortion == "mse" else 1 - similarity
        cost = bpp_y + bpp_z + member.distortion_weight * distortion
        psnr = 10 * np.log10(255**2 / mse)
        values.append((bpp_y + bpp_z, bpp_y, bpp_z, mse, distortion, psnr, cost))
        latents.append(normalize(output))
    names = ("bpp", "bpp_y", "bpp_z", "mse", "distortion", "psnr_db", "rate_distortion")
    metrics = dict(zip(names, np.mean(values, axis=0), strict=True))
    pool = loss.pool_channels
    full = looped_loss(latents, pool=pool)
    rest = looped_loss([x - x.mean((0, 1)) for x in latents], pool=pool)
    flat = np.concatenate([x.ravel() for x in latents])
    return metrics | {
        "correlation": full,
        "offset_share": 1 - rest / full,
        "normalized_square": np.mean(flat**2),
        "loss": metrics["rate_distortion"] + member.correlation_weight * full,
    }


@pytest.mark.parametrize(
    ("shape", "devices", "side", "loss"),
    [
        (
            MeshConfig(),
            1,
            256,
            jaxcorr.LossConfig(window=3, distortion="ms_ssim", pool_channels=False),
        ),
        pytest.param(
            *(MeshConfig(data=2, fsdp=2, sweep=2), 8, 128, CONFIG.loss),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_members_have_the_metrics_of_each_image_by_itself(
    photographs, shape, devices, side, loss
):
    mesh = sharding.make_mesh(shape, jax.devices()[:devices])
    crops = np.stack([codecs.blocks(side, side, seed=seed) for seed in range(3)])
    run = make_run(photographs, crops, mesh, loss)
    stacked = {
        name: np.stack([model.parameters[name] for model in MODELS])
        for name in MODELS[0].parameters
    }
    parameters = sharding.shard_state(stacked, mesh, members=True)
    metrics, pictures = evaluation.evaluate(run, parameters)
    assert pictures.shape == (2, 3, side, side, 3)
    for number, (model, member) in enumerate(zip(MODELS, run.members, strict=True)):
        expected = expected_metrics(model, photographs, member, loss)
        assert metrics.keys() == expected.keys() | {"correlation_crop"}
        for name, value in expected.items():
            np.testing.assert_allclose(
                metrics[name][number], value, rtol=1e-4, err_msg=name
            )
        latents = [normalize(model.analyze(crop)) for crop in crops]
        np.testing.assert_allclose(
            metrics["correlation_crop"][number],
            looped_loss(latents, pool=loss.pool_channels),
            rtol=1e-4,
        )


@pytest.mark.fast
def test_batches_share_a_canvas_and_a_number_of_rows_and_count_no_filling(monkeypatch):
    sizes = [(100, 130)] * 4 + [(128, 128), (90, 200)]
    whole = [np.full((*size, 3), n, np.uint8) for n, size in enumerate(sizes)]
    monkeypatch.setattr(held_out, "BATCH_PIXELS", 2 * 128 * 256)
    for devices, rows in ((1, 2), (2, 4)):
        square, *wide = held_out.batch_by_canvas(whole, devices=devices)
        assert square.images.shape == (devices, 128, 128, 3) and square.count == 1
        assert {batch.images.shape for batch in wide} == {(rows, 128, 256, 3)}
        rest = [batch.images[: batch.count, -1, -1, 0] for batch in wide]
        np.testing.assert_array_equal(np.concatenate(rest), [0, 1, 2, 3, 5])
        found = np.concatenate([batch.sizes[: batch.count] for batch in wide])
        np.testing.assert_array_equal(found, sizes[:4] + sizes[5:])
    monkeypatch.setattr(held_out, "BATCH_PIXELS", 1)
    assert len(held_out.batch_by_canvas(whole, devices=1)) == len(whole)


def test_the_best_checkpoint_is_by_whole_images(photographs, tmp_path, monkeypatch):
    mesh = sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    monkeypatch.setattr(sharding, "make_mesh", lambda shape: mesh)
    for number, image in enumerate(photographs[1:]):
        images.write_image(tmp_path / "images" / f"{number}.png", image)
    run = trainer.train(
        CONFIG,
        workdir=str(tmp_path / "run"),
        codec={"transforms": {"width": 4, "channels": 4}},
        sweep={"distortion_weight": 0.01},
        optimizer={"learning_rate": 0.5, "warmup_steps": 0},  # Steps may be worse.
        data={"held_out": f"folder:{tmp_path / 'images'}"},
        intervals=IntervalConfig(eval_every=1, checkpoint_every=1),
    )
    lines = (run / "held_out.jsonl").read_text().splitlines()
    evaluations = [json.loads(line) for line in lines]
    best = min(evaluations, key=lambda values: values["rate_distortion"])
    assert "offset_share" in best  # Only whole images have it.
    provenance = jaxcorr.load(run).provenance
    assert provenance.step == best["step"]
    assert provenance.held_out_loss == pytest.approx(best["rate_distortion"])
