"""Models among which an image or a file chooses."""

import functools
import os
from collections.abc import Sequence
from typing import Any

from jaxcorr import model_names, model_store, run_directory, saved_model
from jaxcorr.codec import Codec
from jaxcorr.errors import UserError
from jaxcorr.model import Model
from jaxcorr.paths import as_path, is_remote
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
      with_store: Whether `find` looks in the store as well.

    Raises:
      TypeError: If an argument has another type.
      UserError: If a path has no model, or the list is empty.
    """

    def __init__(
        self, models: Any, *, checkpoint: str = "best", with_store: bool = False
    ):
        self._with_store = with_store
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

    def find(
        self, fingerprint: bytes, name: str, *, called: str | None = None
    ) -> Model:
        """Returns the model that made a file.

        Args:
          fingerprint: Fingerprint of the model, from the file.
          name: Name of the file, for messages.
          called: Name of the model, from the file, for messages.

        Raises:
          UserError: If none of the models made the file, or the model cannot be read.
        """
        wanted = fingerprint.hex()
        if wanted in self.fingerprints:
            return self._open(self.fingerprints[wanted])
        stored = model_store.find(wanted)
        if stored is not None and self._with_store:
            try:
                return run_directory.load_once(stored.folder, name=stored.name)
            except UserError as error:
                raise UserError(
                    f"{error}; add that model to the store again with `jaxcorr models "
                    "add FOLDER`"
                ) from error
        if wanted in EARLIER_DEMOS:
            version = EARLIER_DEMOS[wanted]
            raise UserError(
                f"{name} was made with the demo of jaxcorr {version} "
                f"({wanted}): give the folder jaxcorr/demo of that version "
                "with -m, or in Python with model="
            )
        named = f"model {wanted}" + (f" ({called})" if called else "")
        if self._with_store:
            raise UserError(
                f"{name} was made with {named}, which is not in the store: give the "
                "folder of that model with -m, or in Python with model=, or add it for "
                "all files with `jaxcorr models add FOLDER`"
            )
        others = ", ".join(map(model_name, self._given))
        if len(self._members) > 1:
            others = f"one of {len(self._members)} models ({others})"
        elif others not in self.fingerprints:
            others = f"{others} ({', '.join(self.fingerprints)})"
        remedy = "give that model with -m, or in Python with model="
        if stored is not None:
            remedy = f"give no model, since the store has it ({stored.name})"
        raise UserError(f"{name} was made with {named}, not with {others}: {remedy}")

    def _open(self, model: Any) -> Model:
        if isinstance(model, Model):
            return model
        return run_directory.load_once(as_path(model), checkpoint=self._checkpoint)

    def _fingerprint(self, model: Model | str) -> str:
        if isinstance(model, Model):
            return model.fingerprint.hex()
        folder = run_directory.find(model, self._checkpoint)
        return str(saved_model.read_config(folder).get("fingerprint"))


def short_name(path: str | os.PathLike[str]) -> str:
    """Returns a name for people of the model at a path, without its folders.

    It is the name of the model folder or of the run, with its member if it has one.
    """
    folder, number = run_directory.split_member(os.fspath(path))
    member = "" if number is None else f"@{number}"
    if not is_remote(folder):  # A path such as `.` has a name, too.
        folder = as_path(os.path.abspath(folder))
    checkpoint = run_directory.checkpoint_of(folder)
    if checkpoint is not None:
        folder, member = checkpoint[0], f"@{folder.name}"
    elif folder.name.isdigit():
        folder, member = folder.parent, f"@{folder.name}"
    return model_names.shorten(f"{folder.name}{member}")


def model_name(model: ModelLike) -> str:
    """Returns the path of a model, or its fingerprint if it has none."""
    if isinstance(model, Model):
        return model.path or model.fingerprint.hex()
    return os.fspath(model)
