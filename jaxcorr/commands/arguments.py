"""Arguments that several commands take, with their help."""

from pathlib import Path
from typing import Annotated

import tyro

from jaxcorr.errors import UserError

_MODEL = tyro.conf.arg(
    aliases=["-m"],
    metavar="MODEL|RUN[@MEMBER]|demo",
    help="Model folder, or run directory; of a sweep, which member.",
    help_behavior_hint="",
)
ModelPath = Annotated[str, _MODEL]
OptionalModelPath = Annotated[str | None, _MODEL]
OutputPath = Annotated[
    Path | None,
    tyro.conf.arg(
        aliases=["-o"],
        metavar="PATH",
        help="File, or folder for several.",
        help_behavior_hint="(default: beside each input)",
    ),
]
Checkpoint = Annotated[
    str,
    tyro.conf.arg(
        metavar="newest|best|STEP", help="Of a run; best is on held-out images."
    ),
]
Force = Annotated[bool, tyro.conf.arg(help="Replace files that exist.")]
Fast = Annotated[
    bool,
    tyro.conf.arg(help="Float32 on this device: other machines may fail to read it."),
]


def read_file(path: Path) -> bytes:
    """Reads a file that the user named.

    Raises:
      UserError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
