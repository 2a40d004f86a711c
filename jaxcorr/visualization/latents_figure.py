"""What a codec makes of an image, drawn: latents, what predicts them, what is left.

The figure of Ali et al.: quantized latent, mean and scale that the entropy model
predicts, the normalized latent, and the correlation map that the loss is the norm of.

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
NORMALIZED_LIMIT = 4.0
"""Strongest color of normalized latents, in standard deviations."""
SIGNED, POSITIVE = "PuOr", "viridis"
"""Color maps, each legible to the color-blind and in print."""


def draw_latents(
    image: UInt8[np.ndarray, "h w 3"],
    coded: Mapping[str, CodedImage[DecodedLatents]],
    *,
    channel: int | None = None,
) -> Figure:
    """A row a model, with what differs between two below them.

    Args:
      image: The image.
      coded: What each model made of it, by the model's name.
      channel: Which channel of the latents to show; by default, for each model, the
        one that varies most once it is quantized.

    Raises:
      UserError: If a model has no such channel, or the image is too small.
    """
    for result in coded.values():
        if result.metrics.correlation is None:
            raise UserError(
                f"{result.metrics.file} is too small to show: its latents must be at "
                f"least {reconstructions.WINDOW} high and wide, but are "
                + " x ".join(map(str, result.latents.symbols.shape[:2]))
            )
    channels = {
        name: _most_varied(result) if channel is None else channel
        for name, result in coded.items()
    }
    shown = {name: planes(result, channels[name]) for name, result in coded.items()}
    limits = _limits([*shown.values()])
    strongest = max(map(reconstructions.largest_correlation, coded.values()))

    upright = image.shape[0] > image.shape[1]
    height = (4.4 if upright else 3.2) * len(coded) + 0.6
    figure = Figure(figsize=(20, height), layout="constrained")
    axes = figure.subplots(len(coded), len(limits) + 2, squeeze=False)
    for row, (name, result) in zip(axes, coded.items(), strict=True):
        _draw_image(row[0], image, name, result.metrics)
        for axis, (title, plane) in zip(row[1:-1], shown[name].items(), strict=True):
            _draw_plane(figure, axis, title, plane, limits[title])
        row[1].set_ylabel(f"channel {channels[name]}")
        reconstructions.draw_map(figure, row[-1], result, limit=strongest)
    if len(coded) == 2:
        first, second = (result.metrics for result in coded.values())
        text = f"Second against first: {describe_differences(first, second)}"
        figure.supxlabel(f"{text}. Channels of two models do not correspond.")
    return figure


def describe_differences(first: ImageMetrics, second: ImageMetrics) -> str:
    """What the second model does otherwise than the first, in words."""
    parts = [f"{_percent(first.bpp, second.bpp)} bits"]
    for name, before, after in (
        ("y", first.bpp_y, second.bpp_y),
        ("z", first.bpp_z, second.bpp_z),
    ):
        if before and after:
            parts.append(f"{name} {_percent(before, after)}")
    text = f"{parts[0]} ({', '.join(parts[1:])})" if parts[1:] else parts[0]
    text += f", {second.psnr_db - first.psnr_db:+.2f} dB PSNR"
    if first.correlation and second.correlation:
        text += f", correlation loss {second.correlation / first.correlation:.2g} times"
    return text


def describe_metrics(row: ImageMetrics) -> str:
    """Rate, with its parts, and quality, in words."""
    split = f" ({row.bpp_y:.3f} y + {row.bpp_z:.3f} z)" if row.bpp_z else ""
    return f"{row.bpp:.3f} bpp{split}, {row.psnr_db:.2f} dB"


def planes(coded: CodedImage[DecodedLatents], channel: int) -> Planes:
    """One channel of the latents and of what predicts them.

    Raises:
      UserError: If there is no such channel.
    """
    latents = coded.latents
    channels = latents.symbols.shape[-1]
    if not 0 <= channel < channels:
        raise UserError(
            f"channel must be from 0 to {channels - 1}, the last of this model's, "
            f"but is {channel}"
        )
    # With residual prediction latent_hat holds a correction, which is no part of what
    # the entropy model sees: symbols are distances from the mean.
    quantized = latents.symbols + latents.mean
    every = {
        "quantized latent": quantized,
        "mean": latents.mean,
        "scale": latents.scale,
        "normalized latent": latents.symbols / latents.scale,
    }
    return {name: array[..., channel] for name, array in every.items()}


def _limits(shown: Sequence[Planes]) -> dict[str, float]:
    """Returns the strongest color of each plane, which all models share.

    Latent and mean share it too: the less they differ, the better the mean.
    """
    limits = {
        title: max(float(np.abs(each[title]).max()) for each in shown)
        for title in shown[0]
    }
    highest = max(limits["mean"], limits["quantized latent"])
    return limits | {
        "mean": highest,
        "quantized latent": highest,
        "normalized latent": NORMALIZED_LIMIT,
    }


def _draw_image(
    axis: Axes, image: UInt8[np.ndarray, "h w 3"], name: str, row: ImageMetrics
) -> None:
    axis.imshow(image)
    axis.set_title(row.file, fontsize="medium")
    path, _, own = name.partition(" (")
    lines = [path, *(textwrap.wrap(f"({own}", 28) if own else [])]
    axis.set_ylabel("\n".join(lines), fontsize="small")
    axis.set_xlabel(describe_metrics(row), fontsize="small")
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
        drawn = axis.imshow(plane, cmap=POSITIVE, vmin=0, vmax=limit)
    else:
        drawn = axis.imshow(plane, cmap=SIGNED, vmin=-limit, vmax=limit)
    unit = "scales" if title == "normalized latent" else "steps"
    axis.set_title(f"{title} ({unit})", fontsize="medium")
    axis.set_xticks([])
    axis.set_yticks([])
    figure.colorbar(drawn, ax=axis, shrink=0.7, pad=0.02)


def _most_varied(coded: CodedImage[DecodedLatents]) -> int:
    quantized = coded.latents.symbols + coded.latents.mean
    return int(np.argmax(quantized.var(axis=(0, 1))))


def _percent(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %"
