"""Files with results: what `jaxcorr evaluate --json` writes, and reports read.

A JSON file holds one result, which is an object with the keys `RESULT_KEYS` and
`environment`, or a list of results: of the members of a sweep, or of the qualities of a
classical codec. `csv_tables` describes results in CSV.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, measure, metadata
from jaxcorr.evaluation.environment import Environment, current_environment
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.evaluation.metadata import CodecMetadata, ModelMetadata
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.files import read_file
from jaxcorr.paths import AnyPath, as_path, changed_at, files_below, identity, is_folder
from jaxcorr.provenance import Provenance
from jaxcorr.run_directory import CHECKPOINTS, split_member

Result = dict[str, Any]
"""A result as JSON."""

RESULT_KEYS = {"model", "images", "mean"}
"""Keys of every result; results of earlier versions lack `environment`."""
RESULTS_FILE = "evaluation.json"
"""Name of the file with the results of a run, in its run directory."""

SKIPPED_FOLDERS = {CHECKPOINTS, "held_out"}
"""Folders of a run that are not searched; `held_out` has only two photographs."""


def make_result(rows: Sequence[ImageMetrics], codec: CodecMetadata) -> Result:
    """Returns what was measured now in this process, as JSON.

    Args:
      rows: Measurements of the images.
      codec: Description of the codec.
    """
    uses_jax = isinstance(codec, ModelMetadata)
    return {
        "model": codec.to_json(),
        "environment": current_environment(uses_jax=uses_jax).to_json(),
        "images": [dataclasses.asdict(row) for row in rows],
        "mean": measure.mean_metrics(rows),
    }


def file_content(made: Sequence[Result]) -> Result | list[Result]:
    """Returns the content of a file: a single result itself, or else a list."""
    return made[0] if len(made) == 1 else list(made)


def read_results(paths: Sequence[AnyPath]) -> list[EvaluationResult]:
    """Reads results from files in JSON or CSV.

    Args:
      paths: Files, folders of files at any depth, and runs (RUN@MEMBER too).

    Raises:
      UserError: If there is no result, a file is damaged, or results are of different
        images.
    """
    files = dict.fromkeys(file for path in paths for file in _files(as_path(path)))
    named = {}
    for file, member in files:
        for number, result in enumerate(_read(file)):
            if member is None or result.member == member:
                named[identity(file), number] = result
    results = list(named.values())
    if not results:
        raise UserError("no run, folder or file of results is named")
    first = results[0]
    for other in results[1:]:
        if _image_set(other) != _image_set(first):
            raise UserError(
                f"{other.path} is of other images than {first.path}: "
                f"{_describe_images(other)}, not {_describe_images(first)}"
            )
    return results


def load_json(paths: Sequence[AnyPath]) -> list[Result]:
    """Returns the results in JSON files as they are there.

    Raises:
      UserError: If a file cannot be read.
    """
    return [item for path in paths for item in _load_items(path)]


def results_path(model: str | AnyPath) -> AnyPath:
    """Returns where the results of a run, a model folder or a sweep member are kept."""
    folder, member = split_member(model)
    if member is None:
        return folder / RESULTS_FILE
    return folder / RESULTS_FILE.replace(".", f"@{member}.")


def _files(path: AnyPath) -> list[tuple[AnyPath, int | None]]:
    """Returns the files of a path, with the member if only one of a file is meant."""
    folder, member = split_member(path)
    if member is not None:
        # The results of a member have a file of their own, or are among those of the
        # sweep, whichever was written last.
        candidates = {results_path(path): None, results_path(folder): member}
        existing = [file for file in candidates if file.is_file()]
        if existing:
            newest = max(existing, key=changed_at)
            return [(newest, candidates[newest])]
    if path.is_file():
        return [(path, None)]
    if not is_folder(path):
        raise UserError(f"{path} does not exist: no run, folder or file is there")
    files = [
        file
        for file in files_below(path, ".json") + files_below(path, ".csv")
        if not SKIPPED_FOLDERS & set(file.relative_to(path).parts)
        and _holds_results(file)
        and not _is_superseded(file)
    ]
    if not files:
        raise UserError(
            f"{path} holds no evaluation: name the images with --images, or write one "
            f"with `jaxcorr evaluate IMAGES -m {path} --json {results_path(path)}`"
        )
    return [(file, None) for file in files]


def _is_superseded(path: AnyPath) -> bool:
    """Returns whether a file FILE@NAME.json is of an earlier version than FILE.json.

    Earlier versions wrote a file per member of a sweep or quality of a codec.
    """
    stem, at, _ = path.stem.rpartition("@")
    newer = path.with_name(f"{stem}.json")
    return bool(at) and newer.is_file() and isinstance(_load_json(newer), list)


def _holds_results(path: AnyPath) -> bool:
    if path.suffix == ".csv":
        return csv_tables.is_table(path)
    items = _load_items(path)
    return bool(items) and all(
        isinstance(item, dict) and set(item) >= RESULT_KEYS for item in items
    )


def _read(path: AnyPath) -> list[EvaluationResult]:
    """Reads all results of a file."""
    if path.suffix == ".csv":
        items = csv_tables.read_tables(path)
    else:
        items = _load_items(path) or [None]  # An empty list is not a result either.
    return [_check(path, item) for item in items]


def _check(path: AnyPath, values: Any) -> EvaluationResult:
    """Returns a result after checking it.

    Raises:
      UserError: If something is missing.
    """
    try:
        model, images, mean = (values[key] for key in ("model", "images", "mean"))
        # A table in CSV may hold only the means of a classical codec.
        only_means = path.suffix == ".csv" and not any("bpp" in row for row in images)
        measured = [mean] if only_means else [mean, *images]
        numbers = [row[key] for row in images for key in ("width", "height")]
        numbers += [row[key] for row in measured for key in ("bpp", "psnr_db")]
        valid = bool(images) and all(map(math.isfinite, numbers))
        valid &= isinstance(model, dict) and isinstance(mean, dict)
        valid &= all(isinstance(row["file"], str) for row in images)
        result = EvaluationResult(
            path=path,
            model=metadata.from_json(model),
            images=images,
            mean=mean,
            environment=Environment.from_json(values.get("environment")),
        )
        valid &= not result.trained or _names_training(result.provenance)
    except (KeyError, TypeError, ValueError, AttributeError):
        valid = False
    if not valid:
        raise UserError(f"{path} is not a table of results of `jaxcorr evaluate`")
    return result


def _names_training(provenance: Provenance) -> bool:
    """Returns whether the codec of a run is known, and λ and α are finite."""
    if provenance.config is None or provenance.member is None:
        return False
    member = provenance.member
    weights = member.distortion_weight, member.correlation_weight
    codec = provenance.config.get("codec")
    return isinstance(codec, Mapping) and all(map(math.isfinite, weights))


def _load_items(path: AnyPath) -> list[Any]:
    """Returns the items of a list in a JSON file, or its only item."""
    content = _load_json(path)
    return content if isinstance(content, list) else [content]


def _load_json(path: AnyPath) -> Any:
    try:
        return json.loads(read_file(path))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} is not complete JSON: {error}") from error


def _image_set(evaluation: EvaluationResult) -> list[tuple]:
    return sorted(
        (row["file"], row["width"], row["height"]) for row in evaluation.images
    )


def _describe_images(evaluation: EvaluationResult) -> str:
    count, first = len(evaluation.images), evaluation.images[0]["file"]
    return f"{count} from {first} on" if count > 1 else first
