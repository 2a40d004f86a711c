"""Descriptions of the measured codecs, which results hold under the key `model`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxcorr.provenance import Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """Description of a measured model; None for a missing value.

    Attributes:
      path: Run directory or model folder, with the member of a sweep, if any.
      fingerprint: Fingerprint of the model, in hexadecimal.
      provenance: Origin of its parameters.
    """

    path: str | None = None
    fingerprint: str | None = None
    provenance: Provenance = dataclasses.field(default_factory=Provenance)

    def to_json(self) -> dict[str, Any]:
        """Returns the description as JSON; missing values are left out."""
        values = {"path": self.path, "fingerprint": self.fingerprint}
        known = {key: value for key, value in values.items() if value is not None}
        return known | self.provenance.to_json()

    def describe(self) -> str:
        """Returns in words how the model differs from other members of its sweep."""
        return self.provenance.describe()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassicalMetadata:
    """Description of a measured classical codec; None for a missing value.

    Attributes:
      codec: Name of the codec on the command line.
      title: Name of the codec with its fixed settings.
      quality: Quality that the images were coded at.
      unit: Unit and range of the quality.
      library: Coding library with its version.
    """

    codec: str
    title: str
    quality: float | int | None = None
    unit: str | None = None
    library: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the description as JSON."""
        return dataclasses.asdict(self)

    def describe(self) -> str:
        """Returns the unit of the quality and the library, in words."""
        return f"{self.unit}; {self.library}"


CodecMetadata = ModelMetadata | ClassicalMetadata


def from_json(values: Mapping[str, Any]) -> CodecMetadata:
    """Reads the JSON that `to_json` returned, in this or another version of jaxcorr."""
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
