"""Commands of the store of models: `jaxcorr models add | list | remove | verify`."""

import sys
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional

from jaxcorr import model_names, model_store
from jaxcorr.cli import output
from jaxcorr.cli.arguments import Checkpoint, JsonPath, argument
from jaxcorr.errors import UserError
from jaxcorr.model_store import StoredModel

ModelsToAdd = Annotated[
    Positional[tuple[str, ...]],
    argument(
        "MODEL|RUN[@MEMBER]…",
        "Model folders and run directories; a sweep stands for all of its members.",
        hint="",
    ),
]
Name = Annotated[
    str | None,
    argument(
        "NAME",
        f"Name of the model in the store and in files, at most {model_names.MAX_BYTES} "
        "bytes.",
        hint="(default: that of the folder)",
    ),
]
StoredNames = Annotated[
    Positional[tuple[str, ...]],
    argument("NAME|FINGERPRINT…", "Stored models.", hint=""),
]
SomeStoredNames = Annotated[
    Positional[tuple[str, ...]],
    argument("NAME|FINGERPRINT…", "Stored models.", hint="(default: all)"),
]


def models_add(
    paths: ModelsToAdd, name: Name = None, checkpoint: Checkpoint = "best"
) -> None:
    """Adds models to the store, in which files find their model.

    The model folder is copied as a whole or not at all. A model that is already there
    stays as it is, and gets the name if one is given.
    """
    from jaxcorr.model_set import ModelSet, short_name

    if not paths:
        raise UserError("no model is given")
    models = ModelSet(list(paths), checkpoint=checkpoint).read()
    if name is not None and len(models) > 1:
        raise UserError(f"--name names one model, but {len(models)} are given")
    if name is not None:
        model_names.check(name)
    for model in models:
        called = name or short_name(str(model.path))
        stored, is_new = model_store.add(model, called, rename=bool(name))
        print(_describe(stored, "added" if is_new else "already in the store"))


def models_list(json: JsonPath = None) -> None:
    """Lists the models in the store.

    Damaged ones are listed, too. The folder of the store is JAXCORR_MODELS, and
    otherwise in the user's folder for data.
    """
    if json is not None:
        output.check_json(json)
    models = model_store.list_models()
    if json is not None:
        output.write_json(json, [_as_json(model) for model in models])
    if not output.is_standard_stream(json):
        for model in models:
            print(_describe(model))
        print(f"store: {model_store.store_folder() or 'none'}")


def models_remove(names: StoredNames) -> None:
    """Removes models from the store.

    Files of a removed model need it with -m.
    """
    if not names:
        raise UserError("no stored model is given")
    for model in _find_all(names):
        model_store.remove(model)
        print(_describe(model, "removed"))


def models_verify(names: SomeStoredNames = ()) -> None:
    """Reads the models in the store, and names those that are damaged.

    Computes the fingerprint of each anew. The exit status is 2 if one is damaged.
    """
    models = _find_all(names) if names else model_store.list_models()
    damaged = 0
    for model in models:
        problem = model_store.verify(model)
        if problem is None:
            print(_describe(model, "intact"))
        else:
            output.print_error(problem)
            damaged += 1
    if damaged:
        sys.exit(2)


def _find_all(names: Sequence[str]) -> list[StoredModel]:
    """Returns the stored models with the given names or fingerprints.

    Raises:
      UserError: If the store lacks one.
    """
    found = []
    for name in names:
        model = model_store.find_named(name)
        if model is None:
            raise UserError(
                f"the store has no model {name}: `jaxcorr models list` lists them"
            )
        found.append(model)
    return found


def _describe(model: StoredModel, state: str | None = None) -> str:
    """Returns a line about a stored model.

    Args:
      model: The model.
      state: What was found or done; by default what is wrong, or where the model is.
    """
    if state is None:
        place = "built in" if model.is_built_in else f"{model.size() / 1e6:.1f} MB"
        state = f"damaged: {model.problem}" if model.problem else place
    return f"{model.fingerprint or '?':16}  {model.name}: {state}"


def _as_json(model: StoredModel) -> dict[str, str | int | bool | None]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint or None,
        "folder": str(model.folder),
        "bytes": model.size(),
        "built_in": model.is_built_in,
        "problem": model.problem,
    }
