"""Transforms of Zhu et al. 2022: Swin transformer blocks."""

import dataclasses
import itertools
from collections.abc import Sequence

from flax import nnx

from jaxcorr import ops, serialization
from jaxcorr.errors import require
from jaxcorr.layers.swin import (
    PatchEmbedding,
    PatchMerging,
    PatchSplitting,
    PatchUnpacking,
    SwinBlock,
)
from jaxcorr.transforms.base import (
    LATENT_STRIDE,
    SIDE_STRIDE,
    Layer,
    Reach,
    Transforms,
    chain,
)


@serialization.stored("Swin")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Swin:
    """Swin transformer blocks, with patch merging and splitting between resolutions.

    References:
      Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, section 3 and
      appendix A.2, https://openreview.net/forum?id=IDwN6xjHnK8.
    """

    widths: tuple[int, int, int, int] = (128, 192, 256, 320)
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution; the last are those of the
    latents."""
    side_widths: tuple[int, int] = (192, 192)
    """Channels at 1/32 and 1/64 of the resolution; the last are those of the side
    information."""
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    """Number of blocks at 1/2, 1/4, 1/8 and 1/16 of the resolution."""
    side_depths: tuple[int, int] = (5, 1)
    """Number of blocks at 1/32 and 1/64 of the resolution."""
    window: int = 8
    """Side of the attention windows of analysis and synthesis, in positions; even."""
    side_window: int = 4
    """Side of the attention windows of the hyper transforms, in positions; even."""
    head_width: int = 32
    """Channels per attention head; divides all widths."""

    def __post_init__(self):
        """Checks windows, widths and depths."""
        for name in ("window", "side_window"):
            window = getattr(self, name)
            rule = "even and at least 2, as windows are shifted by half"
            require(self, name, rule, window >= 2 and window % 2 == 0)
        head = self.head_width
        require(self, "head_width", "at least 1", head >= 1)
        for name in ("widths", "side_widths"):
            rule = f"positive multiples of head_width ({head})"
            widths = getattr(self, name)
            require(self, name, rule, all(w > 0 and w % head == 0 for w in widths))
        for name in ("depths", "side_depths"):
            require(self, name, "0 or more each", min(getattr(self, name)) >= 0)

    @property
    def channels(self) -> int:
        """Number of channels of the latents."""
        return self.widths[-1]

    @property
    def side_channels(self) -> int:
        """Number of channels of the side information."""
        return self.side_widths[-1]

    @property
    def reach(self) -> Reach:
        """Largest distances over which outputs of the transforms see their inputs."""
        align, side_align = self.window, self.side_window
        image = _blocks_reach(self.depths, self.window, LATENT_STRIDE, align)
        side = _blocks_reach(
            self.side_depths, self.side_window, SIDE_STRIDE, side_align, finest=5
        )
        return Reach(
            analysis=image,
            synthesis=image,
            hyper_analysis=side,
            hyper_synthesis=side,
            align=align,
            side_align=side_align,
        )

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that analysis or synthesis take for a pixel, estimated."""
        return 16.0 * self.widths[0]

    def build(self, *, rngs: nnx.Rngs) -> Transforms:
        """Initializes the four transforms."""

        def blocks(width: int, depth: int, window: int) -> list[SwinBlock]:
            return [
                SwinBlock(
                    width,
                    heads=width // self.head_width,
                    window=window,
                    shifted=index % 2 == 1,
                    rngs=rngs,
                )
                for index in range(depth)
            ]

        def down(
            inputs: int, widths: Sequence[int], depths: Sequence[int], window: int
        ) -> nnx.Module:
            embedding = PatchEmbedding(inputs, widths[0], rngs=rngs)
            stages = [[embedding, *blocks(widths[0], depths[0], window)]]
            pairs = itertools.pairwise(widths)
            for (before, after), depth in zip(pairs, depths[1:], strict=True):
                merging = PatchMerging(before, after, rngs=rngs)
                stages.append([merging, *blocks(after, depth, window)])
            return chain(*stages)

        def up(
            outputs: int, widths: Sequence[int], depths: Sequence[int], window: int
        ) -> nnx.Module:
            widths, depths = widths[::-1], depths[::-1]
            stages: list[list[Layer]] = [[*blocks(widths[0], depths[0], window)]]
            pairs = itertools.pairwise(widths)
            for (before, after), depth in zip(pairs, depths[1:], strict=True):
                splitting = PatchSplitting(before, after, rngs=rngs)
                stages.append([splitting, *blocks(after, depth, window)])
            unpacking = PatchUnpacking(widths[-1], outputs, rngs=rngs)
            return chain(*stages, [unpacking])

        main = (self.widths, self.depths, self.window)
        side = (self.side_widths, self.side_depths, self.side_window)
        return Transforms(
            analysis=down(3, *main),
            synthesis=up(3, *main),
            hyper_analysis=down(self.channels, *side),
            hyper_synthesis=up(2 * self.channels, *side),
        )


SIZES = {
    "S": Swin(widths=(96, 128, 160, 192), side_widths=(96, 128)),
    "M": Swin(),
    "L": Swin(widths=(160, 256, 352, 448), side_widths=(192, 256)),
}
"""Sizes of Zhu et al., who use M unless noted otherwise."""


def _blocks_reach(
    depths: Sequence[int], window: int, unit: int, align: int, *, finest: int = 1
) -> int:
    """Returns the reach of blocks in units, rounded up to a multiple of `align`.

    Of `d` blocks whose windows are shifted by turns, the first reaches all but one of a
    window, and each of the others half a window more.

    Args:
      depths: Number of blocks at each resolution, from fine to coarse.
      window: Side of the windows.
      unit: Pixels of a unit.
      align: Units of which the result is a multiple.
      finest: Logarithm to base 2 of the pixels from one position to the next, at the
        finest resolution.
    """
    pixels = sum(
        2 ** (finest + level) * (window - 1 + (depth - 1) * window // 2)
        for level, depth in enumerate(depths)
        if depth
    )
    return ops.round_up(-(-pixels // unit), align)
