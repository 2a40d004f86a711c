"""Learned codecs in the form that `measure` takes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcorr import correlation
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.codec import Codec
from jaxcorr.evaluation.measure import FileDetails
from jaxcorr.evaluation.metadata import ModelMetadata
from jaxcorr.model import Model
from jaxcorr.transforms.canvas import canvas_side, place_on_canvas

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
        """Returns the description of the model for results."""
        return ModelMetadata(
            path=self.path,
            fingerprint=self.model.fingerprint.hex(),
            provenance=self.model.provenance,
        )

    def prepare(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Compiles coding for the canvas of an image, by coding a blank image."""
        canvas = tuple(map(canvas_side, image.shape[:2]))
        if canvas not in self._prepared:
            self.decode(self.encode(np.zeros((*canvas, 3), np.uint8)))
            self._prepared.add(canvas)

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> bytes:
        """Returns the bytes of a file; see `coding.encode`."""
        container, _ = coding.encode(self.model, image, arithmetic=self.arithmetic)
        return container.to_bytes()

    def decode(self, data: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], DecodedLatents]:
        """Returns the image that a file holds, and the decoded latents."""
        return coding.decode(self.model, Container.from_bytes(data, "the file"))

    def details(
        self, image: UInt8[np.ndarray, "h w 3"], data: bytes, latents: DecodedLatents
    ) -> FileDetails:
        """Returns the estimated bits, the sizes of the payloads and the correlation."""
        container = Container.from_bytes(data, "the file")
        return FileDetails(
            estimated_bits=estimated_bits(self.model, image),
            y_bytes=len(container.y_payload),
            z_bytes=len(container.z_payload),
            correlation=_correlation(latents),
        )


def estimated_bits(model: Model, image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Returns the bits of y and z that the continuous entropy model estimates."""
    return float(
        _estimated_bits(
            model.shared_codec,
            place_on_canvas(image),
            *map(jnp.int32, image.shape[:2]),
            model.median,
        )
    )


def _correlation(latents: DecodedLatents) -> float | None:
    if min(latents.symbols.shape[:2]) < WINDOW:
        return None
    # A symbol is a quantized latent minus its mean, so the mean of a residual is 0.
    residual = latents.symbols.astype(np.float64)[None]
    return float(
        correlation.correlation_loss(
            residual, np.zeros_like(residual), latents.scale[None]
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
