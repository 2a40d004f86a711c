"""Models: trained codecs that code files."""

import dataclasses
import functools
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Float64

from jaxcorr import (
    compatibility,
    images,
    programs,
    serialization,
    windowed_codec,
)
from jaxcorr.codec import (
    Codec,
    CodecConfig,
    CodecOutput,
    Parameters,
    parameters_of,
    with_parameters,
)
from jaxcorr.codec_output import crop_output
from jaxcorr.entropy import tables
from jaxcorr.entropy.tables import IntegerTables
from jaxcorr.images import ImageLike, PictureRows
from jaxcorr.provenance import Provenance
from jaxcorr.transforms.canvas import canvas_side, place_on_canvas

SIDE_RADIUS = 512
"""Largest |side information - median| in the tables, in quantization steps."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A trained codec with its probability tables, which can code files.

    Attributes:
      config: Settings of the codec.
      parameters: Parameters of the codec, by their names in files.
      median: Median of each channel of side information, subtracted before rounding.
      side_tables: Probability table of each channel of side information.
      latent_tables: Probability table of each entry of the scale table.
      provenance: Origin of the parameters; the fingerprint does not depend on it.
      path: Path that the model was read from; None if it was made in this process.
    """

    config: CodecConfig
    parameters: dict[str, Float32[np.ndarray, "..."]]
    median: Float32[np.ndarray, " s"]
    side_tables: IntegerTables
    latent_tables: IntegerTables
    provenance: Provenance = dataclasses.field(default_factory=Provenance)
    path: str | None = None

    @classmethod
    def from_codec(
        cls, codec: Codec, *, provenance: Provenance | None = None
    ) -> "Model":
        """Returns the model of a codec, with the probability tables that coding needs.

        Args:
          codec: A codec, such as one that was trained in a loop of one's own. Later
            changes of its parameters do not change the model.
          provenance: Origin of the parameters.
        """
        parameters = parameters_of(codec.settings, codec)
        return make_model(codec.settings, parameters, provenance=provenance)

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """Eight bytes, which differ for any two models that may decode differently."""
        digest = hashlib.sha256()
        config = serialization.to_json(self.config, omit_defaults=True)
        digest.update(json.dumps(config, sort_keys=True).encode())
        for name, array in sorted((self.parameters | self.table_arrays()).items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()[:8]

    def codec(self) -> Codec:
        """Returns a new differentiable codec with the parameters of the model.

        It is a module of Flax NNX and a pytree, so `jax.jit`, `jax.grad` and Optax take
        it. Training it does not change the model.
        """
        return with_parameters(self.config, self.device_parameters)

    @functools.cached_property
    def shared_codec(self) -> Codec:
        """The codec that coding uses, on the default device; must not be changed."""
        return self.codec()

    @overload
    def analyze(self, image: ImageLike) -> CodecOutput: ...

    @overload
    def analyze(self, image: Sequence[ImageLike]) -> list[CodecOutput]: ...

    def analyze(self, image: Any) -> CodecOutput | list[CodecOutput]:
        """Returns latents, their predictions and their bits, as a file would hold them.

        The networks compute in float32 here and mostly in float64 for files, which also
        round means to 1/64; so a latent that lies between two symbols may get the other
        one. A program is compiled for each canvas size, and kept for a few of them. An
        image of more than 2 megapixels is analyzed in windows.

        Args:
          image: Image of any size, as in `jaxcorr.compress`, or a list of images.

        Returns:
          The output for the image, without an axis for batches, or a list of outputs.
          Its bits sum to the size of a file, except for the header.

        Raises:
          UserError: If an image cannot be read or is too large.
        """
        return images.map_images(lambda rows, _: self._analyze(rows.over()), image)

    def _analyze(self, rows: PictureRows) -> CodecOutput:
        height, width = rows.size
        shape = canvas_side(height), canvas_side(width)
        if shape[0] * shape[1] > windowed_codec.WINDOW_PIXELS:
            with programs.kept_for((self.config, shape), "analyze"):
                return windowed_codec.analyze(self.shared_codec, rows, self.median)
        image = rows.whole().rgb
        canvas = place_on_canvas(image)
        with programs.kept_for((self.config, canvas.shape[1:3]), "analyze"):
            output = self.shared_codec(
                jnp.asarray(canvas),
                size=(jnp.int32(height), jnp.int32(width)),
                median=jnp.asarray(self.median),
            )
        return crop_output(vars(output), rows.size)

    @functools.cached_property
    def device_parameters(self) -> Parameters:
        """The parameters on the default device, transferred once."""
        # Portable coding may set a CPU as the default device. The parameters must not
        # stay there if it is the first to use them, so that setting is ignored.
        with jax.default_device(None):
            return jax.device_put(self.parameters)

    def table_arrays(self) -> dict[str, Any]:
        """Returns medians and probability tables, by their names in files."""
        arrays: dict[str, Any] = {"median": self.median}
        for kind in ("side", "latent"):
            for field in ("lowest", "length", "counts"):
                table = getattr(self, f"{kind}_tables")
                arrays[f"{kind}_{field}"] = getattr(table, field)
        return arrays

    def describe(self) -> dict[str, str]:
        """Returns architecture, λ, α, size and origin in words, by their names."""
        member, step = self.provenance.member, self.provenance.step
        count = sum(array.size for array in self.parameters.values())
        facts = {
            "architecture": self.config.describe(),
            "λ": f"{member.distortion_weight:g}" if member else None,
            "α": f"{member.correlation_weight:g}" if member else None,
            "parameters": f"{count:,}",
            "training steps": None if step is None else f"{step:,}",
            "imported from": self.provenance.source,
            "fingerprint": self.fingerprint.hex(),
            "read from": self.path,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def __repr__(self) -> str:
        """Returns one line of at most 300 characters."""
        facts = [f"{name} {_shorten(text)}" for name, text in self.describe().items()]
        return f"Model({', '.join(facts)})"

    def _repr_html_(self) -> str:
        """Returns a table for notebooks, in the colors of the notebook."""
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.describe().items()
        ]
        return f"<table>{''.join(rows)}</table>"


def make_model(
    codec_settings: CodecConfig,
    parameters: Mapping[str, Any],
    *,
    median: Float32[np.ndarray, " s"] | None = None,
    provenance: Provenance | None = None,
) -> Model:
    """Returns a model: a codec with its probability tables and medians.

    Args:
      codec_settings: Settings of the codec.
      parameters: Parameters of the codec, by their names in files.
      median: Center of each channel of side information; by default its median under
        the prior.
      provenance: Origin of the parameters.
    """
    arrays = {name: np.asarray(array, np.float32) for name, array in parameters.items()}
    cpu = jax.local_devices(backend="cpu")[0]
    with compatibility.enable_x64(True), jax.default_device(cpu):
        prior = with_parameters(codec_settings, arrays).prior
        if median is None:
            median = np.asarray(prior.median(), np.float32)
        offsets = np.arange(-SIDE_RADIUS, SIDE_RADIUS + 1, dtype=np.float64)
        values = jnp.asarray(offsets[:, None] + median.astype(np.float64))
        probabilities: Float64[np.ndarray, "n s"] = np.asarray(
            jnp.exp2(-prior.bits(values))
        )
    return Model(
        config=codec_settings,
        parameters=arrays,
        median=median,
        side_tables=tables.channel_tables(probabilities.T, lowest=-SIDE_RADIUS),
        latent_tables=tables.gaussian_tables(),
        provenance=provenance or Provenance(),
    )


def _shorten(text: str, *, length: int = 48) -> str:
    """Returns a text, or its end after an ellipsis if it is longer than `length`."""
    return text if len(text) <= length else f"…{text[1 - length :]}"
