"""The store of models: a folder in which files find the model that made them.

The store holds a model folder for each model, whose name is the fingerprint. A model
folder that was copied into it under another name counts as well. The packaged demo
belongs to every store. The folder is that of the variable `JAXCORR_MODELS`, and
otherwise `jaxcorr/models` among the data of the user.

A model is found by `config.json` alone, without JAX. Reading a model checks its
fingerprint, so a damaged one is refused and never decodes to a wrong picture.
"""

import contextlib
import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcorr import files, model_files, model_names, paths
from jaxcorr.errors import UserError

if TYPE_CHECKING:
    from jaxcorr.model import Model

VARIABLE = "JAXCORR_MODELS"
"""Environment variable with the folder of the store."""
DEMO = "demo"
"""Name of the packaged model or models, unless a local one has the same name."""
PACKAGED_DEMO = Path(__file__).parent / DEMO
"""Folder of the packaged model, or of the folders of several."""

_ATTEMPTS = 5
"""How often a model is added again if another process moved it meanwhile."""
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model folder in the store, which may be damaged.

    Attributes:
      folder: The model folder.
      fingerprint: Fingerprint of the model in hexadecimal digits; that of the folder's
        name, or empty, if the folder says none.
      name: Name of the model.
      is_built_in: Whether it is packaged with jaxcorr.
      problem: Why the folder cannot be read; None if its files are there.
    """

    folder: Path
    fingerprint: str
    name: str
    is_built_in: bool = False
    problem: str | None = None

    @property
    def names(self) -> set[str]:
        """Names by which a user may call the model."""
        folder = set() if self.is_built_in else {self.folder.name}
        return {self.name, self.fingerprint} | folder

    def size(self) -> int:
        """Returns the size of the folder in bytes."""
        total = 0
        for path in self.folder.glob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total


def store_folder() -> Path | None:
    """Returns the folder of the store, which need not exist.

    None if the user has no home, as in some containers, and names no folder.

    Raises:
      UserError: If the named folder is in a bucket.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if paths.is_remote(named):
            raise UserError(
                f"{VARIABLE} must be a folder of a disk, but is {named}: give a model "
                "in a bucket with -m"
            )
        return Path(named).expanduser()
    import platformdirs

    data = platformdirs.user_data_path("jaxcorr", appauthor=False)
    return data / "models" if data.is_absolute() else None


def list_models() -> list[StoredModel]:
    """Returns all models, those of the demo first, and then by name.

    Raises:
      UserError: If the folder of the store cannot be read.
    """
    others = sorted(_stored(), key=lambda model: (model.name, model.fingerprint))
    return [*_built_in(), *others]


def find(fingerprint: str) -> StoredModel | None:
    """Returns the undamaged model with a fingerprint in hexadecimal digits, if any.

    Raises:
      UserError: If the folder of the store cannot be read.
    """
    for models in (_built_in, _stored):
        for model in models():
            if model.fingerprint == fingerprint and model.problem is None:
                return model
    return None


def find_named(name: str) -> StoredModel | None:
    """Returns the model with a name or a fingerprint, damaged or not, if there is one.

    Raises:
      UserError: If several models have the name, or the store cannot be read.
    """
    found = [model for model in list_models() if name in model.names]
    found = [model for model in found if model.problem is None] or found
    if len({model.fingerprint for model in found}) > 1:
        listed = ", ".join(model.fingerprint for model in found)
        raise UserError(f"{name} names several stored models: give one of {listed}")
    return found[0] if found else None


def add(model: "Model", name: str, *, rename: bool = False) -> tuple[StoredModel, bool]:
    """Adds a model completely or not at all, whatever other processes add meanwhile.

    Args:
      model: The model. One that is in the store already keeps its files.
      name: Its name in the store.
      rename: Whether a model that is in the store already gets the name.

    Returns:
      The stored model, and whether it is new.

    Raises:
      UserError: If the store cannot be written.
    """
    from jaxcorr import saved_model

    fingerprint = model.fingerprint.hex()
    stored = find(fingerprint)
    if stored is not None and verify(stored) is None:
        return _rename(stored, name) if rename else stored, False
    folder = store_folder()
    if folder is None:
        raise UserError(
            f"there is no folder for models, since the user has no home: set {VARIABLE}"
        )
    new = StoredModel(folder=folder / fingerprint, fingerprint=fingerprint, name=name)
    for remaining in reversed(range(_ATTEMPTS)):
        try:
            saved_model.write_model(new.folder, model, name=name)
            break
        except UserError:
            # Another process may have put the same model in its place meanwhile.
            if verify(new) is None:
                break
            if not remaining:
                raise
    return new, True


def remove(model: StoredModel) -> None:
    """Removes a model from the store, so that no half of it is ever found.

    Raises:
      UserError: If it belongs to the demo, or cannot be removed.
    """
    if model.is_built_in:
        raise UserError(f"{model.name} is built in and cannot be removed")
    parent = model.folder.parent
    try:
        with tempfile.TemporaryDirectory(
            dir=parent, prefix=".jaxcorr-", ignore_cleanup_errors=True
        ) as temporary:
            os.replace(model.folder, Path(temporary) / "removed")
    except FileNotFoundError:
        return  # Another process removed it.
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot remove {model.folder}: {reason}") from error


def verify(model: StoredModel) -> str | None:
    """Reads a model, and returns what is wrong with it; None for nothing.

    Reading computes the fingerprint from the settings, parameters and tables.
    """
    from jaxcorr import saved_model

    try:
        read = saved_model.read_model(model.folder)
    except UserError as error:
        return str(error)
    found = read.fingerprint.hex()
    if found != model.fingerprint:
        return f"{model.folder}: fingerprint {found} instead of {model.fingerprint}"
    return None


def _rename(model: StoredModel, name: str) -> StoredModel:
    """Gives a stored model another name; one of the demo keeps its own."""
    if model.is_built_in or model.name == name:
        return model
    config = model_files.read_config(model.folder)
    text = model_files.format_config({**config, model_files.NAME: name})
    files.write_file(model.folder / model_files.CONFIG, text.encode())
    return dataclasses.replace(model, name=name)


def _built_in() -> Iterator[StoredModel]:
    """Yields the models of the demo."""
    if (PACKAGED_DEMO / model_files.CONFIG).is_file():
        yield _describe(PACKAGED_DEMO, DEMO, is_built_in=True)
        return
    for folder in sorted(PACKAGED_DEMO.glob("*")):
        if folder.name.isdigit() and folder.is_dir():
            yield _describe(folder, f"{DEMO}@{folder.name}", is_built_in=True)


def _stored() -> Iterator[StoredModel]:
    """Yields the models in the folder of the store."""
    store = store_folder()
    if store is None:
        return
    try:
        names = sorted(os.listdir(store))
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror
        raise UserError(f"the store {store} cannot be read: {reason}") from error
    for name in names:
        # What a killed process left begins with a dot.
        if not name.startswith(".") and (store / name).is_dir():
            yield _describe(store / name, name, is_built_in=False)


def _describe(folder: Path, name: str, *, is_built_in: bool) -> StoredModel:
    """Returns a model of the store by its description.

    Args:
      folder: The model folder.
      name: Name of the model if the folder says none.
      is_built_in: Whether it belongs to the demo.
    """
    config, problem = {}, None
    try:
        config = model_files.read_config(folder)
        parameters = model_files.parameters_path(folder, config)
        for path in (parameters, folder / model_files.TABLES):
            if not path.is_file():
                problem = f"{path} is missing"
    except UserError as error:
        problem = str(error)
    fingerprint = str(config.get("fingerprint"))
    if not _FINGERPRINT.fullmatch(fingerprint):
        problem = problem or f"{folder} says no fingerprint"
        fingerprint = folder.name if _FINGERPRINT.fullmatch(folder.name) else ""
    given = config.get(model_files.NAME)
    return StoredModel(
        folder=folder,
        fingerprint=fingerprint,
        name=model_names.shorten(given if given and isinstance(given, str) else name),
        is_built_in=is_built_in,
        problem=problem,
    )
