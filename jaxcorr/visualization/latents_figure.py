"""Figure of the latents of an image, their predictions and the remaining correlation.

Follows the figure of Ali et al.: the quantized latent, the mean and scale that the
entropy model predicts, the normalized latent, and the correlation map, whose norm is
the loss.

References:
  Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
  NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.errors import UserError
from jaxcorr.evaluation.measure import CodedImage, ImageMetrics
from jaxcorr.visualization import reconstructions

Planes = dict[str, Float[np.ndarray, "h16 w16"]]
"""One channel of the latents and of their predictions, by title."""
NORMALIZED_LIMIT = 4.0
"""Limit of the color scale of normalized latents, in standard deviations."""
SIGNED_COLORMAP, POSITIVE_COLORMAP = "PuOr", "viridis"
"""Color maps that color-blind readers can read, also in print."""


def draw_latents(
    image: UInt8[np.ndarray, "h w 3"],
    coded: Mapping[str, CodedImage[DecodedLatents]],
    *,
    channel: int | None = None,
) -> Figure:
    """Draws one row per model, and states the differences between two models.

    Args:
      image: Image that was coded.
      coded: The coded image of each model, by the name of the model.
      channel: Channel of the latents to draw; by default the channel of each model
        whose quantized latents have the highest variance.

    Raises:
      UserError: If a model lacks the channel, or the image is too small.
    """
    for result in coded.values():
        if result.metrics.correlation is None:
            raise UserError(
                f"{result.metrics.file} is too small to show: its latents must be at "
                f"least {reconstructions.WINDOW} high and wide, but are "
                + " x ".join(map(str, result.latents.symbols.shape[:2]))
            )
    channels = {
        name: _highest_variance_channel(result) if channel is None else channel
        for name, result in coded.items()
    }
    planes = {
        name: latent_planes(result, channels[name]) for name, result in coded.items()
    }
    limits = _color_limits([*planes.values()])
    map_limit = max(map(reconstructions.largest_correlation, coded.values()))

    is_portrait = image.shape[0] > image.shape[1]
    height = (4.4 if is_portrait else 3.2) * len(coded) + 0.6
    figure = Figure(figsize=(20, height), layout="constrained")
    axes = figure.subplots(len(coded), len(limits) + 2, squeeze=False)
    for row, (name, result) in zip(axes, coded.items(), strict=True):
        _draw_image(row[0], image, name, result.metrics)
        for axis, (title, plane) in zip(row[1:-1], planes[name].items(), strict=True):
            _draw_plane(figure, axis, title, plane, limits[title])
        row[1].set_ylabel(f"channel {channels[name]}")
        reconstructions.draw_correlation_map(figure, row[-1], result, limit=map_limit)
    if len(coded) == 2:
        first, second = (result.metrics for result in coded.values())
        text = f"Second against first: {describe_differences(first, second)}"
        figure.supxlabel(f"{text}. Channels of two models do not correspond.")
    return figure


def describe_differences(first: ImageMetrics, second: ImageMetrics) -> str:
    """Returns in words how the measurements of a second model differ from the first."""
    shares = [
        f"{name} {_percent_change(before, after)}"
        for name, before, after in (
            ("y", first.bpp_y, second.bpp_y),
            ("z", first.bpp_z, second.bpp_z),
        )
        if before and after
    ]
    text = f"{_percent_change(first.bpp, second.bpp)} bits"
    text += f" ({', '.join(shares)})" if shares else ""
    text += f", {second.psnr_db - first.psnr_db:+.2f} dB PSNR"
    if first.correlation and second.correlation:
        text += f", correlation loss {second.correlation / first.correlation:.2g} times"
    return text


def describe_metrics(metrics: ImageMetrics) -> str:
    """Returns the rate, its split into y and z, and the PSNR, in words."""
    split = f" ({metrics.bpp_y:.3f} y + {metrics.bpp_z:.3f} z)" if metrics.bpp_z else ""
    return f"{metrics.bpp:.3f} bpp{split}, {metrics.psnr_db:.2f} dB"


def latent_planes(coded: CodedImage[DecodedLatents], channel: int) -> Planes:
    """Returns one channel of the latents and of their predicted mean and scale.

    Raises:
      UserError: If the model lacks the channel.
    """
    latents = coded.latents
    channels = latents.symbols.shape[-1]
    if not 0 <= channel < channels:
        raise UserError(
            f"channel must be from 0 to {channels - 1}, the last of this model, "
            f"but is {channel}"
        )
    # With latent residual prediction, `latent_hat` contains a correction that the
    # entropy model does not see. Symbols are differences from the mean.
    quantized = latents.symbols + latents.mean
    arrays = {
        "quantized latent": quantized,
        "mean": latents.mean,
        "scale": latents.scale,
        "normalized latent": latents.symbols / latents.scale,
    }
    return {name: array[..., channel] for name, array in arrays.items()}


def _color_limits(models: Sequence[Planes]) -> dict[str, float]:
    """Returns the limit of the color scale of each plane, the same for all models.

    The latent and its mean share a scale, so that a good prediction looks the same.
    """
    limits = {
        title: max(float(np.abs(planes[title]).max()) for planes in models)
        for title in models[0]
    }
    highest = max(limits["mean"], limits["quantized latent"])
    return limits | {
        "mean": highest,
        "quantized latent": highest,
        "normalized latent": NORMALIZED_LIMIT,
    }


def _draw_image(
    axis: Axes, image: UInt8[np.ndarray, "h w 3"], name: str, metrics: ImageMetrics
) -> None:
    axis.imshow(image)
    axis.set_title(metrics.file, fontsize="medium")
    path, _, settings = name.partition(" (")
    lines = [path, *(textwrap.wrap(f"({settings}", 28) if settings else [])]
    axis.set_ylabel("\n".join(lines), fontsize="small")
    axis.set_xlabel(describe_metrics(metrics), fontsize="small")
    axis.set_xticks([])
    axis.set_yticks([])


def _draw_plane(
    figure: Figure,
    axis: Axes,
    title: str,
    plane: Float[np.ndarray, "h16 w16"],
    limit: float,
) -> None:
    if title == "scale":
        mappable = axis.imshow(plane, cmap=POSITIVE_COLORMAP, vmin=0, vmax=limit)
    else:
        mappable = axis.imshow(plane, cmap=SIGNED_COLORMAP, vmin=-limit, vmax=limit)
    unit = "scales" if title == "normalized latent" else "steps"
    axis.set_title(f"{title} ({unit})", fontsize="medium")
    axis.set_xticks([])
    axis.set_yticks([])
    figure.colorbar(mappable, ax=axis, shrink=0.7, pad=0.02)


def _highest_variance_channel(coded: CodedImage[DecodedLatents]) -> int:
    quantized = coded.latents.symbols + coded.latents.mean
    return int(np.argmax(quantized.var(axis=(0, 1))))


def _percent_change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %"
