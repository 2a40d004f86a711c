"""The plans by which networks run on an image of a size: on a canvas, or on windows."""

import dataclasses

from jaxcorr import ops
from jaxcorr.bitstream.container import UNMASKED_VERSION
from jaxcorr.context.strips import COLUMNS, STRIP, CodingLayout
from jaxcorr.transforms.base import (
    LATENT_STRIDE,
    SIDE_STRIDE,
    Reach,
    latents_across,
    side_across,
)
from jaxcorr.transforms.canvas import canvas_side, image_windows
from jaxcorr.transforms.windows import Plan, Window, cut

PER_SIDE = SIDE_STRIDE // LATENT_STRIDE
"""Latents along an axis for an element of z."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planes:
    """Sizes of the arrays of an image, and plans to run networks on them.

    Attributes:
      size: Height and width of the image, in pixels.
      reach: Reach of the transforms.
      window_pixels: Largest window of analysis and synthesis, in pixels.
      version: Version of the file format. In the first, networks see the whole canvas.
    """

    size: tuple[int, int]
    reach: Reach
    window_pixels: int
    version: int

    @property
    def coded(self) -> tuple[int, int]:
        """Rows and columns of the latents that are coded."""
        return latents_across(self.size[0]), latents_across(self.size[1])

    @property
    def coded_side(self) -> tuple[int, int]:
        """Rows and columns of side information."""
        return side_across(self.size[0]), side_across(self.size[1])

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the canvas, in pixels."""
        return canvas_side(self.size[0]), canvas_side(self.size[1])

    @property
    def is_masked(self) -> bool:
        """Is true if networks see nothing beyond the padded image."""
        return self.version > UNMASKED_VERSION

    @property
    def side_extent(self) -> tuple[int, int]:
        """Rows and columns of the side information that networks see."""
        if self.is_masked:
            return self.coded_side
        return self.canvas[0] // SIDE_STRIDE, self.canvas[1] // SIDE_STRIDE

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns of the latents that networks see."""
        rows, columns = self.side_extent
        return rows * PER_SIDE, columns * PER_SIDE

    @property
    def layout(self) -> CodingLayout:
        """The strips in which latents are coded; a single one in the first version."""
        is_whole = not self.is_masked or self.coded[0] <= STRIP
        rows, columns = self.canvas
        return CodingLayout(
            coded=self.coded,
            extent=self.extent,
            canvas=(rows // LATENT_STRIDE, columns // LATENT_STRIDE),
            strip=None if is_whole else STRIP,
            is_masked=self.is_masked,
        )

    @property
    def analysis(self) -> Plan:
        """Plan of the analysis."""
        windows = self._image_windows(self.reach.analysis)
        return self._plan(self.extent, windows, (LATENT_STRIDE, 1))

    @property
    def synthesis(self) -> Plan:
        """Plan of the synthesis."""
        windows = self._image_windows(self.reach.synthesis)
        return self._plan(self.extent, windows, (1, LATENT_STRIDE))

    @property
    def hyper_analysis(self) -> Plan:
        """Plan of the hyper analysis."""
        windows = self._side_windows(self.reach.hyper_analysis)
        return self._plan(self.side_extent, windows, (PER_SIDE, 1))

    @property
    def hyper_synthesis(self) -> Plan:
        """Plan of the hyper synthesis."""
        windows = self._side_windows(self.reach.hyper_synthesis)
        return self._plan(self.side_extent, windows, (1, PER_SIDE))

    def _plan(
        self,
        extent: tuple[int, int],
        windows: tuple[tuple[Window, ...], tuple[Window, ...]],
        unit: tuple[int, int],
    ) -> Plan:
        return Plan(extent=extent, windows=windows, unit=unit, is_masked=self.is_masked)

    def _image_windows(
        self, reach: int
    ) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
        """Returns windows of latents along both axes: the canvas if it is small."""
        return image_windows(
            self.extent, self.canvas, reach, self.reach.align, self.window_pixels
        )

    def _side_windows(
        self, reach: int
    ) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
        """Returns windows of z along both axes: the canvas if there is one strip."""
        rows, columns = (side // SIDE_STRIDE for side in self.canvas)
        if self.layout.strip is not None:
            align = self.reach.side_align
            rows = ops.round_up(STRIP // PER_SIDE, align) + 2 * reach
            widest = ops.round_up(COLUMNS // PER_SIDE, align) + 2 * reach
            columns = min(columns, widest)
        return (
            cut(self.side_extent[0], size=rows, reach=reach),
            cut(self.side_extent[1], size=columns, reach=reach),
        )
