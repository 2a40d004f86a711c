"""Transforms of Zhu et al. 2022: transformer blocks in shifted windows."""

import dataclasses
import itertools
from collections.abc import Sequence

from flax import nnx

from jaxcorr import serialization
from jaxcorr.errors import require
from jaxcorr.layers.swin import (
    PatchEmbedding,
    PatchMerging,
    PatchSplitting,
    PatchUnpacking,
    SwinBlock,
)
from jaxcorr.transforms.base import Transforms


@serialization.stored("Swin")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Swin:
    """Swin transformer blocks at every resolution, merged and split between them.

    References:
      Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, section 3 and
      appendix A.2, https://openreview.net/forum?id=IDwN6xjHnK8.
    """

    widths: tuple[int, int, int, int] = (128, 192, 256, 320)
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution; last, of the latents."""
    side_widths: tuple[int, int] = (192, 192)
    """Channels at 1/32 and 1/64; the last are those of the side information."""
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    """Blocks at 1/2, 1/4, 1/8 and 1/16 of the resolution."""
    side_depths: tuple[int, int] = (5, 1)
    """Blocks at 1/32 and 1/64."""
    window: int = 8
    """Side of an attention window of analysis and synthesis; even."""
    side_window: int = 4
    """Side of an attention window of the hyper transforms; even."""
    head_width: int = 32
    """Channels of an attention head; divides all widths."""

    def __post_init__(self):
        """Checks windows, widths and depths."""
        for name in ("window", "side_window"):
            window = getattr(self, name)
            rule = "even and at least 2, as windows are shifted by half"
            require(self, name, rule, window >= 2 and window % 2 == 0)
        head = self.head_width
        require(self, "head_width", "at least 1", head >= 1)
        for name in ("widths", "side_widths"):
            whole = all(
                width > 0 and width % head == 0 for width in getattr(self, name)
            )
            require(self, name, f"positive multiples of head_width ({head})", whole)
        for name in ("depths", "side_depths"):
            require(self, name, "0 or more each", min(getattr(self, name)) >= 0)

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.widths[-1]

    @property
    def side_channels(self) -> int:
        """Channels of the side information."""
        return self.side_widths[-1]

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
        ) -> list[nnx.Module]:
            layers: list[nnx.Module] = [PatchEmbedding(inputs, widths[0], rngs=rngs)]
            layers += blocks(widths[0], depths[0], window)
            for (before, after), depth in zip(
                itertools.pairwise(widths), depths[1:], strict=True
            ):
                layers.append(PatchMerging(before, after, rngs=rngs))
                layers += blocks(after, depth, window)
            return layers

        def up(
            outputs: int, widths: Sequence[int], depths: Sequence[int], window: int
        ) -> list[nnx.Module]:
            widths, depths = widths[::-1], depths[::-1]
            layers: list[nnx.Module] = [*blocks(widths[0], depths[0], window)]
            for (before, after), depth in zip(
                itertools.pairwise(widths), depths[1:], strict=True
            ):
                layers.append(PatchSplitting(before, after, rngs=rngs))
                layers += blocks(after, depth, window)
            layers.append(PatchUnpacking(widths[-1], outputs, rngs=rngs))
            return layers

        main = (self.widths, self.depths, self.window)
        side = (self.side_widths, self.side_depths, self.side_window)
        return Transforms(
            analysis=nnx.Sequential(*down(3, *main)),
            synthesis=nnx.Sequential(*up(3, *main)),
            hyper_analysis=nnx.Sequential(*down(self.channels, *side)),
            hyper_synthesis=nnx.Sequential(*up(2 * self.channels, *side)),
        )


SIZES = {
    "S": Swin(widths=(96, 128, 160, 192), side_widths=(96, 128)),
    "M": Swin(),
    "L": Swin(widths=(160, 256, 352, 448), side_widths=(192, 256)),
}
"""Sizes of Zhu et al.; theirs is M unless they say otherwise."""
