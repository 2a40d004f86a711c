"""Learned codecs in the form that `measure` takes."""

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Shaped, UInt8

from jaxcorr import correlation, programs
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.codec import Codec
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.evaluation.measure import FileDetails
from jaxcorr.evaluation.metadata import ModelMetadata
from jaxcorr.metrics.latent_correlation import window_products
from jaxcorr.model import Model
from jaxcorr.transforms.base import LATENT_STRIDE
from jaxcorr.transforms.canvas import canvas_side

BLOCK = 2048
"""Positions whose bits are estimated at once."""
WINDOW = 7
"""Window of the reported correlation, as in the published figure; in latents."""


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedCodec:
    """A trained model; an `ImageCodec`.

    Attributes:
      model: The model.
      path: Path that the model was read from, with its member of a sweep, if any; None
        if not known.
      arithmetic: Arithmetic to code with, as in `coding.encode`.
      memory: Memory that coding may take, in bytes, as in `coding.encode`.
    """

    model: Model
    _: dataclasses.KW_ONLY
    path: str | None = None
    arithmetic: Arithmetic = Arithmetic.PORTABLE
    memory: int | None = None
    _prepared: set[tuple[int, ...]] = dataclasses.field(
        default_factory=set, init=False, repr=False
    )

    @property
    def title(self) -> str:
        """Path of the model, or its fingerprint."""
        return self.path or self.model.fingerprint.hex()

    def metadata(self) -> ModelMetadata:
        """Returns the description of the model for results."""
        return ModelMetadata(
            path=self.path,
            fingerprint=self.model.fingerprint.hex(),
            provenance=self.model.provenance,
        )

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Compiles coding for the size of an image, by coding a blank image."""
        canvas = tuple(map(canvas_side, image.shape[:2]))
        if (*canvas, programs.generation()) not in self._prepared:
            self.decode(self.encode(np.zeros_like(image)))
            self._prepared.add((*canvas, programs.generation()))

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file; see `coding.encode`."""
        container, _ = coding.encode(
            self.model,
            image,
            arithmetic=self.arithmetic,
            keep_predictions=False,
            memory=self.memory,
        )
        return container.to_bytes()

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], DecodedLatents]:
        """Returns the image that a file holds, and the decoded latents."""
        container = Container.from_bytes(data, "the file")
        return coding.decode(self.model, container, memory=self.memory)

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: DecodedLatents
    ) -> FileDetails:
        """Returns the estimated bits, the sizes of the payloads and the correlation."""
        container = Container.from_bytes(data, "the file")
        return FileDetails(
            estimated_bits=estimated_bits(self.model, latents),
            y_bytes=len(container.y_payload),
            z_bytes=len(container.z_payload),
            correlation=_correlation(latents),
        )


def estimated_bits(model: Model, latents: DecodedLatents) -> float:
    """Returns the bits of y and z by the continuous entropy model.

    Args:
      model: Model that decoded the latents.
      latents: Decoded latents with their predictions.
    """
    side = latents.side_symbols + model.median
    blocks = [
        (_latent_bits, (latents.symbols, latents.scale)),
        (_side_bits, (side,)),
    ]
    return sum(
        float(function(model.shared_codec, count, *parts))
        for function, arrays in blocks
        for count, parts in _cut_into_blocks(arrays)
    )


def _cut_into_blocks(
    arrays: Sequence[Shaped[np.ndarray, "h w c"]],
) -> Iterator[tuple[np.int32, list[Float32[np.ndarray, "n c"]]]]:
    """Yields arrays in blocks of positions, so that all images share a program.

    Yields:
      The number of positions in a block, and the blocks, with ones after the last.
    """
    flat = [array.reshape(-1, array.shape[-1]) for array in arrays]
    for start in range(0, len(flat[0]), BLOCK):
        parts = [array[start : start + BLOCK] for array in flat]
        padding = [(0, BLOCK - len(parts[0])), (0, 0)]
        padded = [np.pad(part, padding, constant_values=1) for part in parts]
        yield np.int32(len(parts[0])), [part.astype(np.float32) for part in padded]


def _correlation(latents: DecodedLatents) -> float | None:
    rows, columns = latents.symbols.shape[:2]
    if min(rows, columns) < WINDOW:
        return None
    # A symbol is a quantized latent minus its mean, so the mean of a residual is 0.
    residual = (latents.symbols / latents.scale).astype(np.float32)
    sides = (canvas_side(LATENT_STRIDE * side) for side in (rows, columns))
    height, width = (side // LATENT_STRIDE for side in sides)
    margins = (0, height - rows), (0, width - columns), (0, 0)
    inside = np.pad(np.ones((rows, columns, 1), bool), margins)
    sums, count = window_products(
        np.pad(residual, margins)[None], inside[None], window=WINDOW
    )
    mean = np.asarray(sums).mean(axis=(0, 1)) / np.asarray(count)
    return float(correlation.masked_norm(mean, "point"))


@jax.jit
def _latent_bits(
    codec: Codec,
    count: Int[Array, ""],
    symbols: Float[Array, "n c"],
    scale: Float[Array, "n c"],
) -> Float[Array, ""]:
    bound = codec.settings.likelihood_bound
    return _sum_first(gaussian_bits(symbols, scale, likelihood_bound=bound), count)


@jax.jit
def _side_bits(
    codec: Codec, count: Int[Array, ""], side: Float[Array, "n s"]
) -> Float[Array, ""]:
    bound = codec.settings.likelihood_bound
    return _sum_first(codec.prior.bits(side, bound), count)


def _sum_first(bits: Float[Array, "n c"], count: Int[Array, ""]) -> Float[Array, ""]:
    """Returns the sum over the first `count` positions."""
    is_counted = jnp.arange(bits.shape[0])[:, None] < count
    return jnp.sum(bits, where=is_counted)
