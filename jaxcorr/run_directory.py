"""Reads the models of run directories, by checkpoint and by member of a sweep.

A run directory has the model folders of a step at `checkpoints/STEP/models/MEMBER`. A
run that is not a sweep has member 0 only. Training writes the folders
(`training.checkpoints`). A folder of model folders with the names 0, 1, … is read like
a sweep with one checkpoint.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcorr import files, paths, saved_model
from jaxcorr.errors import UserError
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.saved_model import CONFIG
from jaxcorr.serialization import KIND

CHECKPOINTS, MODELS = "checkpoints", "models"
HELD_OUT_LOG = "held_out.jsonl"
"""Log of evaluations on held-out images: one JSON object per member and evaluation."""

WEIGHTS = ("distortion_weight", "correlation_weight")
"""Names of λ and α in section `sweep` of the settings of a run."""

RENAMED_SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "initialize": ("init_from", {}),
    "objective": ("loss", {}),
    "step": ("step", {"decoder_input": "quantization"}),
    "processes": (
        "distributed",
        {
            "coordinator": "coordinator_address",
            "count": "num_processes",
            "index": "process_id",
        },
    ),
    "cadence": (
        "intervals",
        {
            "log": "log_every",
            "evaluate": "eval_every",
            "checkpoint": "checkpoint_every",
            "keep": "max_to_keep",
        },
    ),
}
"""New names of a section of settings and of its fields, by the section's old name."""

DEMO = "demo"
"""Name of the packaged model or models, unless a local one has the same name."""
PACKAGED_DEMO = Path(__file__).parent / DEMO
"""Folder of the packaged model, or of the folders of several."""
DEMO_MEMBER = 1
"""Member that the name of the packaged models stands for, if there are several."""

Folders = dict[int, AnyPath]
"""Folders by step or by number of the member."""
NO_STEP = 0
"""Step of model folders that do not belong to a run."""


class SeveralModelsError(UserError):
    """A path names several models where one is needed."""


def load(path: str | AnyPath = DEMO, *, checkpoint: str = "best") -> Model:
    """Reads the model of a run directory or of a model folder.

    Args:
      path: Run directory or model folder. RUN@MEMBER is a member of a sweep, or the
        model folder MEMBER in a folder of several; "demo" is the packaged model.
      checkpoint: Checkpoint of a run: `newest`, `best` on held-out images (the newest,
        if none was evaluated), or a step.

    Raises:
      UserError: If the model does not exist, or if the path names several.
    """
    folder = find(path, checkpoint)
    return saved_model.read_model(folder, name=str(path))


def load_once(path: str | AnyPath = DEMO, *, checkpoint: str = "best") -> Model:
    """Returns the model that `load` returns, and keeps it for the next call.

    The last few models are kept, until their files change.

    Raises:
      UserError: As in `load`.
    """
    folder = as_path(paths.identity(find(path, checkpoint)))
    return _read_version(folder, str(path), files.read_file(folder / CONFIG))


def find(path: str | AnyPath, checkpoint: str = "best") -> AnyPath:
    """Returns the model folder that `load` reads.

    In a run it is `RUN/checkpoints/STEP/models/MEMBER`.

    Raises:
      UserError: As in `load`.
    """
    folder, member = _split(path)
    name = split_member(path)[0]
    if _is_model(folder):
        if member is not None:
            raise UserError(f"{name} is a model: it has no member {member}")
        return folder
    members, is_run = _members(folder), (folder / CHECKPOINTS).is_dir()
    if member is None and len(members) == 1:
        (member,) = members
    elif member is None and folder == PACKAGED_DEMO:
        member = DEMO_MEMBER
    elif member is None:
        listed = ", ".join(f"{name}@{number}" for number in members)
        kind = "is a sweep" if is_run else f"holds {len(members)} models"
        raise SeveralModelsError(f"{name} {kind}; choose one of its members: {listed}")
    if member not in members:
        numbers = ", ".join(map(str, members))
        raise UserError(f"{name} has no member {member}, only {numbers}")
    folders = members[member]
    return _choose(name, folders, checkpoint) if is_run else folders[NO_STEP]


def checkpoint_of(model: AnyPath) -> tuple[AnyPath, int] | None:
    """Returns the run and the step of a model folder that `find` returns.

    None if the folder does not belong to a checkpoint of a run.
    """
    if model.parent.name != MODELS:
        return None
    return model.parents[3], int(model.parents[1].name)


def model_paths(path: str | AnyPath) -> list[str]:
    """Returns the path of each model that a path names, for `load`.

    Args:
      path: Run directory or model folder, as in `load`, or a folder of model folders.

    Raises:
      UserError: If the path has no model.
    """
    folder, member = _split(path)
    if _is_model(folder) or member is not None:
        return [str(path)]
    members = _members(folder)
    if len(members) == 1:
        return [str(path)]
    return [f"{as_path(path)}@{number}" for number in members]


def upgrade_settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run as today's version would have written them.

    Args:
      run: Settings as JSON, of this version or an earlier one.
    """
    upgraded: dict[str, Any] = {}
    for key, value in run.items():
        section, fields = RENAMED_SETTINGS.get(key, (key, {}))
        if isinstance(value, Mapping):
            value = {fields.get(name, name): field for name, field in value.items()}
        upgraded[section] = value
    if isinstance(upgraded.get("data"), Mapping):  # Versions before 0.3 had crops only.
        upgraded["data"] = {"held_out_images": 0} | upgraded["data"]
    loss = upgraded.get("loss")
    if "sweep" in upgraded or not isinstance(loss, Mapping):
        return upgraded
    # In earlier versions λ and α were fields of the loss, and the seed one of the run.
    sweep = {name: loss[name] for name in WEIGHTS if name in loss}
    upgraded["loss"] = {
        name: value for name, value in loss.items() if name not in WEIGHTS
    }
    if "seed" in upgraded:
        sweep["seed"] = upgraded.pop("seed")
    return upgraded | ({"sweep": {KIND: "Sweep"} | sweep} if sweep else {})


def checkpoint_directories(run: AnyPath) -> Folders:
    """Returns the folders of the complete checkpoints of a run, by ascending step.

    On a disk, Orbax names a checkpoint by its number only when it is complete. In a
    bucket, which has no renames, Orbax marks a complete one with a file.
    """
    with paths.remote_errors(run, "cannot be read", may_be_missing=True):
        found = (run / CHECKPOINTS).glob("*")
        folders = {int(path.name): path for path in found if path.name.isdigit()}
        if paths.is_remote(run):
            folders = {n: path for n, path in folders.items() if _is_complete(path)}
    return dict(sorted(folders.items()))


def _is_complete(checkpoint: AnyPath) -> bool:
    """Returns whether Orbax has marked a checkpoint in a bucket as complete."""
    from orbax.checkpoint import utils  # Takes long; only runs in buckets need it.

    return utils.is_checkpoint_finalized(checkpoint)


def member_directories(checkpoint: AnyPath) -> Folders:
    """Returns the model folders of a checkpoint, by the number of the member."""
    return _numbered_models(checkpoint / MODELS)


@functools.lru_cache(maxsize=8)
def _read_version(folder: AnyPath, name: str, config: bytes) -> Model:
    """Reads a model folder whose `config.json` has the given content."""
    del config  # Names the parameters by their fingerprint.
    return saved_model.read_model(folder, name=name)


def split_member(path: str | AnyPath) -> tuple[AnyPath, int | None]:
    """Splits RUN@MEMBER into both, unless it is a path that exists."""
    run, _, member = str(path).rpartition("@")
    if run and member.isdigit() and not paths.exists(as_path(path)):
        return as_path(run), int(member)
    return as_path(path), None


def _split(path: str | AnyPath) -> tuple[AnyPath, int | None]:
    """Splits RUN@MEMBER, and checks that the directory exists."""
    folder, member = split_member(path)
    if str(folder) == DEMO and not _holds_models(folder):
        folder = PACKAGED_DEMO
    if not paths.is_folder(folder):
        raise UserError(
            f"{folder} is not a directory: give a run, a model folder or {DEMO}"
        )
    return folder, member


def _holds_models(folder: AnyPath) -> bool:
    """Returns whether a folder looks like one that `load` or `model_paths` reads."""
    is_run = (folder / CHECKPOINTS).is_dir()
    return is_run or _is_model(folder) or bool(_numbered_models(folder))


def _is_model(folder: AnyPath) -> bool:
    return (folder / CONFIG).is_file() and not (folder / CHECKPOINTS).is_dir()


def _numbered_models(folder: AnyPath) -> Folders:
    """Returns the model folders in a folder whose names are numbers."""
    # Folders without a config are what remains of a checkpoint if the run was killed
    # while it deleted the checkpoint.
    folders = [config.parent for config in folder.glob(f"*/{CONFIG}")]
    return {int(path.name): path for path in folders if path.name.isdigit()}


def _members(folder: AnyPath) -> dict[int, Folders]:
    """Returns the model folders of each member, by step."""
    members: dict[int, Folders] = {}
    for step, checkpoint in checkpoint_directories(folder).items():
        for member, path in member_directories(checkpoint).items():
            members.setdefault(member, {})[step] = path
    if not members:
        folders = _numbered_models(folder)
        members = {member: {NO_STEP: path} for member, path in folders.items()}
    if not members:
        raise UserError(f"{folder} holds neither a model nor checkpoints of a run")
    return dict(sorted(members.items()))


def _choose(run: AnyPath, folders: Mapping[int, AnyPath], checkpoint: str) -> AnyPath:
    """Returns the model folder of a checkpoint: `newest`, `best` or a step."""
    if checkpoint == "newest":
        return folders[max(folders)]
    if checkpoint == "best":
        losses = {
            step: saved_model.read_provenance(folder).held_out_loss
            for step, folder in folders.items()
        }
        evaluated = {step: loss for step, loss in losses.items() if loss is not None}
        best = min(evaluated, key=evaluated.__getitem__, default=max(folders))
        return folders[best]
    if checkpoint.isdigit() and int(checkpoint) in folders:
        return folders[int(checkpoint)]
    raise UserError(
        f"{run} has no checkpoint {checkpoint!r}; there are newest, best, "
        f"{', '.join(map(str, folders))}"
    )
