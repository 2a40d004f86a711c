"""Evaluation during training: on whole images, or on crops alone."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PyTree, UInt8

from jaxcorr.codec import Parameters
from jaxcorr.metrics import image_quality, latent_correlation
from jaxcorr.training import sharding, sweep
from jaxcorr.training import step as steps
from jaxcorr.training.held_out import CanvasBatch
from jaxcorr.training.loss import LossWeights, Metrics
from jaxcorr.training.run import Run
from jaxcorr.training.step import StaticConfig
from jaxcorr.transforms.base import LATENT_STRIDE, image_mask

LOGGED_CROPS = 4
"""Number of held-out crops whose reconstructions are logged."""


def evaluate(
    run: Run, parameters: Parameters
) -> tuple[dict[str, Float[Any, " members"]], Float[np.ndarray, "members n h w 3"]]:
    """Evaluates all members on the held-out images of a run.

    Rates, distortions and PSNR of whole images are means over images, each measured on
    its own pixels. The correlation loss is that of one map: the mean over the products
    of all images. `correlation_crop` is the loss of the crops, whose map has fewer
    products and more noise.

    Args:
      run: The run.
      parameters: Parameters of all members.

    Returns:
      Metrics of all members: those of `steps.evaluation_step` and, for whole images,
      `offset_share` and `correlation_crop`; and reconstructions of the first
      `LOGGED_CROPS` crops.
    """
    crop_metrics, pictures = _evaluate_members(
        run, crop_step, parameters, run.held_out.crops
    )
    if not run.held_out.batches:
        return crop_metrics, np.asarray(pictures)
    evaluations = [
        _measure_batch(run, parameters, batch) for batch in run.held_out.batches
    ]
    images = jax.tree.map(
        lambda *parts: np.concatenate(parts, axis=1, dtype=np.float64), *evaluations
    )
    metrics = _average(run, images)
    metrics["correlation_crop"] = crop_metrics["correlation"]
    return metrics, np.asarray(pictures)


def crop_step(
    parameters: Parameters,
    crops: UInt8[Array, "b h w 3"],
    weights: LossWeights,
    *,
    static_config: StaticConfig,
) -> tuple[Metrics, Float[Array, "n h w 3"]]:
    """Computes metrics of crops, and the reconstructions of the first of them."""
    metrics, reconstructions = steps.evaluation_step(
        parameters, crops, weights, static_config=static_config
    )
    return metrics, reconstructions[:LOGGED_CROPS]


def whole_image_step(
    parameters: Parameters,
    batch: tuple[UInt8[Array, "b H W 3"], Int32[Array, "b 2"]],
    weights: LossWeights,
    *,
    static_config: StaticConfig,
) -> dict[str, Float[Array, "b ..."]]:
    """Measures each image of a batch, without its padding, as files would hold it.

    Args:
      parameters: Parameters of the codec.
      batch: Images with values from 0 to 255 on canvases of one size, and the height
        and width of each.
      weights: Not used, since rate and distortion are returned apart.
      static_config: Settings. New values compile another program.

    Returns:
      For each image: `bpp_y`, `bpp_z`, and the `mse` of the decoded 8-bit image;
      `squares` of the normalized latents and their number `latents`; `products` of
      `latent_correlation.window_products`, the same `without_offsets`, and `windows`.
      Also the decoded images in [0, 1] if the distortion is measured on them.
    """
    del weights
    pixels, sizes = batch
    rows, columns = sizes[:, 0], sizes[:, 1]
    output = steps.rounded_output(
        parameters,
        pixels.astype(jnp.float32) / 255,
        static_config=static_config,
        size=(rows, columns),
    )

    def mask(grid: Array, stride: int) -> Array:
        return image_mask(grid, rows, columns, stride)

    def sum_inside(grid: Array, inside: Array) -> Array:
        return jnp.sum(jnp.where(inside, grid, 0.0), axis=(1, 2, 3))

    area = (rows * columns).astype(jnp.float32)
    decoded = jnp.round(255 * jnp.clip(output.reconstruction, 0, 1))
    values = {
        "bpp_y": output.latent_bits.sum((1, 2, 3)) / area,
        "bpp_z": output.side_bits.sum((1, 2, 3)) / area,
        "mse": sum_inside((decoded - pixels) ** 2, mask(decoded, 1)) / (3 * area),
    }
    normalized = static_config.loss.normalized(output)
    inside = mask(normalized, LATENT_STRIDE)
    values["squares"] = sum_inside(normalized**2, inside)
    values["latents"] = inside.sum((1, 2, 3)) * jnp.float32(normalized.shape[-1])
    centered = latent_correlation.without_offsets(normalized, inside)
    products, values["windows"] = latent_correlation.window_products(
        jnp.concatenate([normalized, centered], axis=-1),
        inside,
        window=static_config.loss.window,
    )
    values["products"], values["without_offsets"] = jnp.split(products, 2, axis=1)
    if static_config.loss.distortion == "ms_ssim":
        values["decoded"] = decoded / 255
    return values


def _measure_batch(
    run: Run, parameters: Parameters, batch: CanvasBatch
) -> dict[str, Float[np.ndarray, "members n ..."]]:
    """Returns the values of `whole_image_step`, with the distortion, on the host."""
    values = _evaluate_members(
        run, whole_image_step, parameters, (batch.images, batch.sizes)
    )
    values = {name: array[:, : batch.count] for name, array in values.items()}
    values["distortion"] = values["mse"]
    if "decoded" in values:
        decoded = values.pop("decoded")
        values["distortion"] = np.stack(
            [_ms_ssim_distortions(images, batch) for images in decoded]
        )
    return values


def _ms_ssim_distortions(
    decoded: Float[np.ndarray, "n H W 3"], batch: CanvasBatch
) -> Float[np.ndarray, " n"]:
    """Returns 1 - MS-SSIM of each image, by NumPy, which compiles nothing."""
    distortions = []
    for image, original, (height, width) in zip(
        decoded, batch.images, batch.sizes, strict=False
    ):
        pair = image, original.astype(np.float32) / 255
        (similarity,) = image_quality.ms_ssim(*(x[None, :height, :width] for x in pair))
        distortions.append(1 - similarity)
    return np.array(distortions)


def _average(
    run: Run, images: dict[str, Float[np.ndarray, "members n ..."]]
) -> dict[str, Float[np.ndarray, " members"]]:
    """Returns the metrics of all members, given the values of each image."""
    weights = run.weights
    means = ("bpp_y", "bpp_z", "mse", "distortion")
    metrics = {name: images[name].mean(axis=1) for name in means}
    psnr = np.asarray(image_quality.psnr_from_mse(jnp.asarray(images["mse"])))
    metrics["psnr_db"] = psnr.mean(axis=1)
    totals = {name: array.sum(axis=1) for name, array in images.items()}
    metrics["normalized_square"] = totals["squares"] / totals["latents"]
    counts = totals["windows"][:, None, None, None]
    channels = totals["products"].shape[1]
    term = run.static_config.loss.term(run.static_config.batch(1), channels)
    full, centered = (
        np.array([term.published_of(maps) for maps in totals[name] / counts])
        for name in ("products", "without_offsets")
    )
    metrics["correlation"] = full
    metrics["offset_share"] = np.array(
        [
            latent_correlation.offset_share(*pair)
            for pair in zip(full, centered, strict=True)
        ]
    )
    bpp = metrics["bpp_y"] + metrics["bpp_z"]
    cost = bpp + np.asarray(weights.distortion_weight) * metrics["distortion"]
    metrics |= {"bpp": bpp, "rate_distortion": cost}
    if term.is_published:
        metrics["loss"] = cost + np.asarray(weights.correlation_weight) * full
    return metrics


def _evaluate_members(
    run: Run, function: Callable, parameters: Parameters, images: PyTree
) -> Any:
    """Returns the results of a step for all members, on the host."""
    with jax.set_mesh(run.mesh):
        results = sweep.evaluate_members(
            function,
            parameters,
            jax.tree.map(lambda rows: sharding.shard_images(rows, run.mesh), images),
            run.weights,
            static_config=run.static_config,
            in_one_program=sweep.runs_members_in_one_program(run.mesh),
        )
    return jax.device_get(results)
