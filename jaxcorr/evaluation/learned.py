"""Models as codecs that are measured."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcorr import correlation
from jaxcorr.bitstream import coding, networks
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.codec import Codec
from jaxcorr.evaluation.measure import FileDetails
from jaxcorr.evaluation.metadata import ModelMetadata
from jaxcorr.saved_model import Model

WINDOW = 7
"""Window of the correlation that is reported, the one of the published figure."""


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedCodec:
    """A model as an `ImageCodec`.

    Attributes:
      model: The model.
      path: Where it was read, with the member of a sweep; None if that is not told.
      arithmetic: Arithmetic to code with, as in `coding.encode`.
    """

    model: Model
    _: dataclasses.KW_ONLY
    path: str | None = None
    arithmetic: Arithmetic = Arithmetic.PORTABLE
    _prepared: set[tuple[int, ...]] = dataclasses.field(
        default_factory=set, init=False, repr=False
    )

    @property
    def title(self) -> str:
        """Path of the model, or its fingerprint."""
        return self.path or self.model.fingerprint.hex()

    def metadata(self) -> ModelMetadata:
        """Returns what is written beside its measurements."""
        return ModelMetadata(
            path=self.path,
            fingerprint=self.model.fingerprint.hex(),
            provenance=self.model.provenance,
        )

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Codes a blank image of each new canvas, so that times hold no compilation."""
        canvas = tuple(map(networks.canvas_side, image.shape[:2]))
        if canvas not in self._prepared:
            self.decode(self.encode(np.zeros((*canvas, 3), np.uint8)))
            self._prepared.add(canvas)

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file, as `coding.encode` makes it."""
        container, _ = coding.encode(self.model, image, arithmetic=self.arithmetic)
        return container.to_bytes()

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], DecodedLatents]:
        """Returns the image that a file holds, and its latents."""
        return coding.decode(self.model, Container.from_bytes(data, "the file"))

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: DecodedLatents
    ) -> FileDetails:
        """Returns the entropy model's estimate, the parts of a file and correlation."""
        container = Container.from_bytes(data, "the file")
        return FileDetails(
            estimated_bits=estimated_bits(self.model, image),
            y_bytes=len(container.y_payload),
            z_bytes=len(container.z_payload),
            correlation=_correlation(latents),
        )


def estimated_bits(model: Model, image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Bits of latents and side information by the continuous entropy model."""
    return float(
        _estimated_bits(
            model.codec,
            networks.place_on_canvas(image),
            *map(jnp.int32, image.shape[:2]),
            model.median,
        )
    )


def _correlation(latents: DecodedLatents) -> float | None:
    if min(latents.symbols.shape[:2]) < WINDOW:
        return None
    # A symbol is the distance of a quantized latent from its mean.
    distance = latents.symbols.astype(np.float64)[None]
    return float(
        correlation.correlation_loss(
            distance, np.zeros_like(distance), latents.scale[None]
        )
    )


@jax.jit
def _estimated_bits(
    codec: Codec,
    canvas: Float[Array, "1 h w 3"],
    rows: Array,
    columns: Array,
    median: Float[Array, " s"],
) -> Float[Array, ""]:
    output = codec(canvas, size=(rows, columns), median=median)
    return output.latent_bits.sum() + output.side_bits.sum()
