"""Figures of reconstructions and of correlation maps."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from jaxcorr import correlation, files
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.evaluation.learned import WINDOW
from jaxcorr.evaluation.measure import CodedImage
from jaxcorr.paths import AnyPath


def draw_reconstructions(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    coded: Sequence[CodedImage[DecodedLatents]],
) -> Figure:
    """Draws one row per image: original, reconstruction and correlation map."""
    figure = Figure(figsize=(13, 3.6 * len(coded)), layout="constrained")
    axes = figure.subplots(
        len(coded), 3, squeeze=False, gridspec_kw={"width_ratios": (3, 3, 2)}
    )
    for row, image, result in zip(axes, images, coded, strict=True):
        metrics = result.metrics
        row[0].imshow(image)
        row[0].set_title(f"{metrics.file}, {metrics.width} x {metrics.height}")
        row[1].imshow(result.reconstruction)
        row[1].set_title(
            f"{metrics.bytes} bytes, {metrics.bpp:.3f} bpp, {metrics.psnr_db:.2f} dB"
        )
        for axis in row[:2]:
            axis.set_axis_off()
        draw_correlation_map(row[2], result)
    return figure


def save_figure(figure: Figure, path: AnyPath) -> None:
    """Writes a figure as PNG; a failed write leaves no file."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    with files.atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def draw_correlation_map(
    axis: Axes,
    coded: CodedImage[DecodedLatents],
    *,
    limit: float | None = None,
) -> None:
    """Draws the correlation map of the decoded latents.

    The center of the map is left out: it is the variance, which is 1 in theory.

    Args:
      axis: Axes to draw on.
      coded: Coded image with its decoded latents.
      limit: Limit of the color scale; by default the largest correlation.
    """
    if coded.metrics.correlation is None:
        axis.set_title("too small for a correlation map")
        return
    limit = largest_correlation(coded) if limit is None else limit
    draw_map(axis, correlation_map(coded), limit=limit)
    axis.set_title(f"correlation map, loss {coded.metrics.correlation:.4f}")


def draw_map(axis: Axes, map: Float[np.ndarray, "k k"], *, limit: float) -> None:
    """Draws a correlation map without its center, which is the variance."""
    axis.set_xlabel("columns away")
    axis.set_ylabel("rows away")
    reach = map.shape[0] // 2
    values = map.copy()
    values[reach, reach] = np.nan
    edges = (-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5)
    mappable = axis.imshow(values, vmin=-limit, vmax=limit, cmap="PuOr", extent=edges)
    bar = draw_color_bar(axis, mappable)
    bar.set_ylabel("mean product, normalized latents")


def draw_color_bar(axis: Axes, mappable: AxesImage | None) -> Axes:
    """Draws a color bar beside an image, as high as the image, and returns its axes.

    Args:
      axis: Axes of the image.
      mappable: The image; None leaves the space of the bar empty.
    """
    bar = axis.inset_axes((1.03, 0, 0.04, 1))
    if mappable is None:
        bar.set_axis_off()
    else:
        axis.figure.colorbar(mappable, cax=bar)
    return bar


def largest_correlation(coded: CodedImage[DecodedLatents]) -> float:
    """Returns the largest magnitude beside the center of the map, or 0.05 if less."""
    values = np.abs(correlation_map(coded))
    values[WINDOW // 2, WINDOW // 2] = 0
    return max(0.05, float(values.max()))


def correlation_map(coded: CodedImage[DecodedLatents]) -> Float[np.ndarray, "k k"]:
    """Returns the correlation map of the decoded, normalized latents."""
    latents = coded.latents
    normalized = latents.symbols / latents.scale
    return np.array(
        correlation.correlation_map(normalized[None].astype(np.float32), window=WINDOW)
    )
