"""The images of an evaluation, and their names in results."""

import os
from collections.abc import Sequence
from pathlib import Path

from jaxcorr import images
from jaxcorr.errors import UserError


def find_images(paths: Sequence[Path]) -> dict[str, Path]:
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
    chosen: dict[str, tuple[str, Path]] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found = {file: file.relative_to(path) for file in images.find_images(path)}
        elif path.exists():
            found = {path: Path(path.name)}
        else:
            raise UserError(f"{path} does not exist: no image or folder is there")
        for file, name in found.items():
            chosen.setdefault(os.path.abspath(file), (name.as_posix(), file))
    by_name = dict(chosen.values())
    if len(by_name) == len(chosen):
        return by_name
    common = os.path.commonpath([os.path.dirname(path) for path in chosen])
    return {
        Path(path).relative_to(common).as_posix(): file
        for path, (_, file) in chosen.items()
    }
