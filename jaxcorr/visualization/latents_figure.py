"""Figure of a coded image: reconstruction, bits, latents, predictions, correlation.

The latents follow the figure of Ali et al.: the quantized latent, the mean and scale
that the entropy model predicts, the normalized latent, and the correlation map, whose
norm is the loss. Above them are the image, its reconstruction, the error of the
reconstruction, and the bits that the latents take.

References:
  Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
  NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg.
"""

import dataclasses
import math
import textwrap
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.errors import UserError
from jaxcorr.evaluation.measure import CodedImage, ImageMetrics
from jaxcorr.transforms.base import LATENT_STRIDE
from jaxcorr.visualization import reconstructions

Coded = CodedImage[DecodedLatents]
Planes = dict[str, Float[np.ndarray, "h16 w16"]]
"""One channel of the latents and of their predictions, by title."""
NORMALIZED_LIMIT = 4.0
"""Limit of the color scale of normalized latents, in standard deviations."""
SIGNED_COLORMAP, POSITIVE_COLORMAP, ERROR_COLORMAP = "PuOr", "viridis", "magma"
"""Color maps that color-blind readers can read, also in print."""
COLUMNS = 5
"""Columns of panels: four of images and latents, and one of the correlation map."""
HEADING_CHARACTERS = 120
PANEL_AREA, PANEL_MARGIN = 9.0, 0.4
"""Area of a panel in square inches, and the height of its title in inches."""
ASPECTS = 0.45, 3.5
"""Least and largest ratio of width and height of a panel; longer images are smaller."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the color scales, which all models of a figure share.

    Attributes:
      planes: Limit of each plane of the latents.
      error: Limit of the error, in levels of 255.
      bits: Limit of the bits of the latents, in bits per pixel.
      correlation: Limit of the correlation map.
    """

    planes: Mapping[str, float]
    error: float
    bits: float
    correlation: float


def draw_latents(
    image: UInt8[np.ndarray, "h w 3"],
    coded: Mapping[str, Coded],
    *,
    channel: int | None = None,
) -> Figure:
    """Draws two rows of panels per model, and states differences between two models.

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
    limits = _limits(image, [*coded.values()], [*planes.values()])
    aspect = min(max(image.shape[1] / image.shape[0], ASPECTS[0]), ASPECTS[1])
    width, height = math.sqrt(PANEL_AREA * aspect), math.sqrt(PANEL_AREA / aspect)
    row_height = 2 * (height + PANEL_MARGIN) + 0.4
    # The map is square, and as high as two panels at most.
    map_width = min(1.6 * width, height + PANEL_MARGIN, 4.5)
    total = (COLUMNS - 1) * (width + 0.7) + map_width + 1.2
    note = 0.5 if len(coded) == 2 else 0
    figure = Figure(
        figsize=(total, row_height * len(coded) + note), layout="constrained"
    )
    rows = figure.subfigures(len(coded), 1, squeeze=False)[:, 0]
    for part, (name, result) in zip(rows, coded.items(), strict=True):
        part.suptitle(_heading(name, result.metrics), fontsize="medium")
        grid = part.add_gridspec(
            2, COLUMNS, width_ratios=[*(width,) * (COLUMNS - 1), map_width]
        )
        panels = [
            [part.add_subplot(grid[row, column]) for column in range(COLUMNS - 1)]
            for row in range(2)
        ]
        _draw_images(panels[0], image, result, limits)
        for axis, (title, plane) in zip(panels[1], planes[name].items(), strict=True):
            _draw_plane(axis, title, plane, limits.planes[title])
        panels[1][0].set_ylabel(f"channel {channels[name]} of y")
        map_axis = part.add_subplot(grid[:, COLUMNS - 1])
        reconstructions.draw_correlation_map(map_axis, result, limit=limits.correlation)
    if len(coded) == 2:
        first, second = (result.metrics for result in coded.values())
        text = f"Second against first: {describe_differences(first, second)}"
        figure.supxlabel(
            f"{text}. Channels of two models do not correspond.", fontsize="medium"
        )
    return figure


def bits_map(latents: DecodedLatents) -> Float[np.ndarray, "h16 w16"]:
    """Returns the bits of the latents at each position, in bits per pixel.

    They are those of the entropy model, without side information.
    """
    residual, scale = (jnp.float32(x) for x in (latents.symbols, latents.scale))
    bits = np.asarray(gaussian_bits(residual, scale), np.float64)
    return bits.sum(axis=-1) / LATENT_STRIDE**2


def error_map(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w"]:
    """Returns the mean absolute error of each pixel, in levels of 255."""
    return np.abs(image.astype(np.float64) - reconstruction).mean(axis=-1)


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


def _limits(
    image: UInt8[np.ndarray, "h w 3"], coded: Sequence[Coded], models: Sequence[Planes]
) -> Limits:
    """Returns the limits of the color scales, the same for all models.

    The latent and its mean share a scale, so that a good prediction looks the same. A
    few pixels may have a larger error than the limit.
    """
    planes = {
        title: max(float(np.abs(planes[title]).max()) for planes in models)
        for title in models[0]
    }
    highest = max(planes["mean"], planes["quantized latent"])
    errors = [error_map(image, result.reconstruction) for result in coded]
    return Limits(
        planes=planes
        | {
            "mean": highest,
            "quantized latent": highest,
            "normalized latent": NORMALIZED_LIMIT,
        },
        error=max(1.0, *(float(np.quantile(error, 0.995)) for error in errors)),
        bits=max(float(bits_map(result.latents).max()) for result in coded),
        correlation=max(map(reconstructions.largest_correlation, coded)),
    )


def _draw_images(
    axes: Sequence[Axes],
    image: UInt8[np.ndarray, "h w 3"],
    coded: Coded,
    limits: Limits,
) -> None:
    """Draws the image, its reconstruction, the error and the bits."""
    for axis, title, pixels in (
        (axes[0], "original", image),
        (axes[1], "reconstruction", coded.reconstruction),
    ):
        axis.imshow(pixels)
        _finish(axis, title)
    error = error_map(image, coded.reconstruction)
    mappable = axes[2].imshow(error, cmap=ERROR_COLORMAP, vmin=0, vmax=limits.error)
    _finish(axes[2], "mean absolute error (levels of 255)", mappable)
    bits = bits_map(coded.latents)
    mappable = axes[3].imshow(bits, cmap=POSITIVE_COLORMAP, vmin=0, vmax=limits.bits)
    _finish(axes[3], "bits of y (bpp)", mappable)


def _draw_plane(
    axis: Axes, title: str, plane: Float[np.ndarray, "h16 w16"], limit: float
) -> None:
    if title == "scale":
        mappable = axis.imshow(plane, cmap=POSITIVE_COLORMAP, vmin=0, vmax=limit)
    else:
        mappable = axis.imshow(plane, cmap=SIGNED_COLORMAP, vmin=-limit, vmax=limit)
    unit = "scales" if title == "normalized latent" else "steps"
    _finish(axis, f"{title} ({unit})", mappable)


def _finish(axis: Axes, title: str, mappable: AxesImage | None = None) -> None:
    """Sets the title, and draws a color bar that is as high as the panel."""
    axis.set_title(title, fontsize="medium")
    axis.set_xticks([])
    axis.set_yticks([])
    # Panels without a color bar leave its space, so that all have one size.
    reconstructions.draw_color_bar(axis, mappable)


def _heading(name: str, metrics: ImageMetrics) -> str:
    """Returns the model, its settings and the measurements, in lines that fit."""
    text = f"{metrics.file}, {name}: {describe_metrics(metrics)}"
    return "\n".join(textwrap.wrap(text, HEADING_CHARACTERS))


def _highest_variance_channel(coded: CodedImage[DecodedLatents]) -> int:
    quantized = coded.latents.symbols + coded.latents.mean
    return int(np.argmax(quantized.var(axis=(0, 1))))


def _percent_change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %"
