"""Arguments of the commands, with their help."""

from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from jaxcorr.errors import UserError


def argument(
    metavar: str, help: str, *, hint: str | None = None, short: str | None = None
) -> Any:
    """Returns what an argument is called and what its help says, for `Annotated`.

    Args:
      metavar: Name of the value.
      help: One sentence.
      hint: Words in place of the default value; None shows the default.
      short: Short form of the flag.
    """
    return tyro.conf.arg(
        metavar=metavar,
        help=help,
        help_behavior_hint=hint,
        aliases=None if short is None else [short],
    )


_MODEL_NAMES = "MODEL|RUN[@MEMBER]|demo"
_MODEL = argument(
    _MODEL_NAMES,
    "Model folder, or run directory; of a sweep, which member.",
    hint="",
    short="-m",
)
ModelPath = Annotated[str, _MODEL]
OptionalModelPath = Annotated[str | None, _MODEL]
ModelPaths = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    argument(_MODEL_NAMES, "Once, or twice to compare.", hint="(required)", short="-m"),
]
Run = Annotated[Positional[str], argument("RUN[@MEMBER]", "Run directory.")]
Checkpoint = Annotated[
    str, argument("newest|best|STEP", "Of a run; best is on held-out images.")
]

Image = Annotated[Positional[Path], argument("IMAGE", "Photograph.")]
Images = Annotated[
    Positional[tuple[Path, ...]], argument("IMAGE…", "Photographs.", hint="")
]
ImageFolder = Annotated[Positional[Path], argument("DIR", "Folder of photographs.")]
File = Annotated[Positional[Path], argument("FILE", "Compressed file.")]
Files = Annotated[
    Positional[tuple[Path, ...]], argument("FILE…", "Compressed files.", hint="")
]

OutputPath = Annotated[
    Path | None,
    argument(
        "PATH",
        "File, or folder for several.",
        hint="(default: beside each input)",
        short="-o",
    ),
]
NewModelPath = Annotated[Path, argument("PATH", "The model folder.", short="-o")]
ReportFolder = Annotated[Path, argument("DIR", "Folder of the report.", short="-o")]
ExportFolder = Annotated[Path, argument("DIR", "Folder of the export.", short="-o")]

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
