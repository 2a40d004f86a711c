"""The images of an evaluation, and their names in results."""

import itertools
import os
from collections.abc import Sequence
from pathlib import PurePath

from jaxcorr import images
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path, exists, is_folder, is_remote


def find_images(paths: Sequence[AnyPath]) -> dict[str, AnyPath]:
    """Returns the images that are given, and those below folders, by their names.

    An image that is given twice is contained once. The name of an image is its path
    from the folder that was given, or its file name. If two images would have one name,
    all names are paths from the deepest folder that contains all images.

    Args:
      paths: Images, and folders that are searched recursively.

    Raises:
      UserError: If no path is given, a path does not exist, or a folder holds no image.
    """
    if not paths:
        raise UserError("no image is given: name images, or folders of images")
    chosen: dict[str, tuple[str, AnyPath]] = {}
    for path in map(as_path, paths):
        if is_folder(path):
            found = {file: file.relative_to(path) for file in images.find_images(path)}
        elif exists(path):
            found = {path: PurePath(path.name)}
        else:
            raise UserError(f"{path} does not exist: no image or folder is there")
        for file, name in found.items():
            key = str(file) if is_remote(file) else os.path.abspath(file)
            chosen.setdefault(key, (name.as_posix(), file))
    by_name = dict(chosen.values())
    if len(by_name) == len(chosen):
        return by_name
    parts = {path: PurePath(path).parts for path in chosen}
    levels = itertools.takewhile(
        lambda names: len(set(names)) == 1,
        zip(*(names[:-1] for names in parts.values()), strict=False),
    )
    common = len(list(levels))
    return {"/".join(parts[path][common:]): file for path, (_, file) in chosen.items()}
