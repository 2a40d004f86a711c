"""What codecs say of themselves: the object `model` of a table of measurements."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxcorr.provenance import Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """A model that was measured.

    Attributes:
      path: Run directory or model folder, with the member of a sweep.
      fingerprint: Fingerprint of the model, in hexadecimal.
      provenance: Where its parameters come from.
    """

    path: str | None = None
    fingerprint: str | None = None
    provenance: Provenance = dataclasses.field(default_factory=Provenance)

    def to_json(self) -> dict[str, Any]:
        """Returns what a table says of the model."""
        values = {"path": self.path, "fingerprint": self.fingerprint}
        known = {key: value for key, value in values.items() if value is not None}
        return known | self.provenance.to_json()

    def describe(self) -> str:
        """Returns in words how the model differs from the others of its sweep."""
        return self.provenance.describe()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassicalMetadata:
    """A classical codec that was measured.

    Attributes:
      codec: Name of the codec on the command line.
      title: Name, with what is fixed about it.
      quality: Quality that it coded with.
      unit: Unit of the quality.
      library: Library that coded, with its version.
    """

    codec: str
    title: str
    quality: float | int | None = None
    unit: str | None = None
    library: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns what a table says of the codec."""
        return dataclasses.asdict(self)

    def describe(self) -> str:
        """Returns the unit of the quality and the library, in words."""
        return f"{self.unit}; {self.library}"


CodecMetadata = ModelMetadata | ClassicalMetadata


def from_json(values: Mapping[str, Any]) -> CodecMetadata:
    """Returns what `to_json` wrote, with this or another version of jaxcorr."""
    if "codec" in values:
        names = [field.name for field in dataclasses.fields(ClassicalMetadata)]
        known = {name: values[name] for name in names if name in values}
        return ClassicalMetadata(**{"title": values["codec"]} | known)
    rest = dict(values)
    return ModelMetadata(
        path=rest.pop("path", None),
        fingerprint=rest.pop("fingerprint", None),
        provenance=Provenance.from_json(rest),
    )
