"""Models among which an image or a file chooses."""

import functools
import os
from collections.abc import Sequence
from typing import Any

from jaxcorr import run_directory, saved_model
from jaxcorr.codec import Codec
from jaxcorr.errors import UserError
from jaxcorr.model import Model
from jaxcorr.paths import as_path
from jaxcorr.run_directory import SeveralModelsError

ModelLike = Model | str | os.PathLike[str]
"""A model, or the path of a model folder or run."""

ModelsLike = ModelLike | Sequence[ModelLike]
"""A model or path, or a list. The path of a sweep, or of a folder of model folders,
stands for all of its models."""

EARLIER_DEMOS = {"50674249537a5cf1": "0.1"}
"""Version of jaxcorr whose demo had a fingerprint."""


class ModelSet:
    """Models that are read when they are needed.

    Args:
      models: A model or path, or a list of these. A path that names several models
        stands for all of them.
      checkpoint: Checkpoint of runs, as in `run_directory.load`.

    Raises:
      TypeError: If an argument has another type.
      UserError: If a path has no model, or the list is empty.
    """

    def __init__(self, models: Any, *, checkpoint: str = "best"):
        self._given = list(models) if isinstance(models, list | tuple) else [models]
        self._checkpoint = checkpoint
        self._members: list[Model | str] = []
        for model in self._given:
            if isinstance(model, Model):
                self._members.append(model)
            elif isinstance(model, str | os.PathLike):
                self._members += run_directory.model_paths(as_path(model))
            else:
                is_codec = isinstance(model, Codec)
                remedy = ": give Model.from_codec(codec)" if is_codec else ""
                raise TypeError(
                    "`model` must be a Model or the path of a model folder or run, "
                    f"but is of type {type(model).__name__}{remedy}"
                )
        if not self._members:
            raise UserError("no model is given")

    def read(self) -> list[Model]:
        """Returns all models.

        Raises:
          UserError: If a model cannot be read.
        """
        return [self._open(member) for member in self._members]

    def only(self) -> Model:
        """Returns the model, if only one is given, or the default one of the demo.

        Raises:
          SeveralModelsError: If several models are given.
          UserError: If the model cannot be read.
        """
        if len(self._given) > 1:
            names = ", ".join(map(model_name, self._given))
            raise SeveralModelsError(f"{names} are several models; choose one")
        return self._open(self._given[0])

    @functools.cached_property
    def fingerprints(self) -> dict[str, Model | str]:
        """The models by their fingerprints, for which no parameters are read.

        Raises:
          UserError: If a path is not a model folder, or a run lacks the checkpoint.
        """
        return {self._fingerprint(member): member for member in self._members}

    def find(self, fingerprint: bytes, name: str) -> Model:
        """Returns the model that made a file.

        Args:
          fingerprint: Fingerprint of the model, from the file.
          name: Name of the file, for messages.

        Raises:
          UserError: If none of the models made the file, or the model cannot be read.
        """
        if fingerprint.hex() in self.fingerprints:
            return self._open(self.fingerprints[fingerprint.hex()])
        if fingerprint.hex() in EARLIER_DEMOS:
            version = EARLIER_DEMOS[fingerprint.hex()]
            raise UserError(
                f"{name} was made with the demo of jaxcorr {version} "
                f"({fingerprint.hex()}): give the folder jaxcorr/demo of that version "
                "with -m, or in Python with model="
            )
        others = ", ".join(map(model_name, self._given))
        if len(self._members) > 1:
            others = f"one of {len(self._members)} models ({others})"
        elif others not in self.fingerprints:
            others = f"{others} ({', '.join(self.fingerprints)})"
        raise UserError(
            f"{name} was made with model {fingerprint.hex()}, not with {others}: give "
            "that model with -m, or in Python with model="
        )

    def _open(self, model: Any) -> Model:
        if isinstance(model, Model):
            return model
        return run_directory.load_once(as_path(model), checkpoint=self._checkpoint)

    def _fingerprint(self, model: Model | str) -> str:
        if isinstance(model, Model):
            return model.fingerprint.hex()
        folder = run_directory.find(model, self._checkpoint)
        return str(saved_model.read_config(folder).get("fingerprint"))


def model_name(model: ModelLike) -> str:
    """Returns the path of a model, or its fingerprint if it has none."""
    if isinstance(model, Model):
        return model.path or model.fingerprint.hex()
    return os.fspath(model)
