"""Types of the command-line arguments, with their help texts."""

from pathlib import PurePath
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path


def argument(
    metavar: str, help: str, *, hint: str | None = None, short: str | None = None
) -> Any:
    """Returns the name and the help of an argument, for `Annotated`.

    Args:
      metavar: Name of the value in the help.
      help: Help text, one sentence.
      hint: Text in place of the default value; None shows the default value.
      short: Short form of the flag.
    """
    return tyro.conf.arg(
        metavar=metavar,
        help=help,
        help_behavior_hint=hint,
        aliases=None if short is None else [short],
    )


class RefusedPath(Exception):
    """Carries the error of a path through tyro, which takes a `ValueError` for its own.

    Args:
      error: The error.

    Attributes:
      error: The error.
    """

    def __init__(self, error: UserError):
        super().__init__(str(error))
        self.error = error


def _parse_path(values: list[str]) -> AnyPath:
    try:
        return as_path(values[0])
    except UserError as error:
        raise RefusedPath(error) from error


UserPath = Annotated[
    AnyPath,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=_parse_path,
        is_instance=lambda value: isinstance(value, PurePath),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""A path of a disk or of a bucket, from the text of an argument."""

_MODEL_NAMES = "MODEL|RUN[@MEMBER]|demo"
_MODEL_HELP = (
    "Model folder, run directory (with a member if it is a sweep), built-in demo, or "
    "name of a stored model."
)
_MODEL = argument(_MODEL_NAMES, _MODEL_HELP, hint="", short="-m")
ModelPath = Annotated[str, _MODEL]
OptionalModelPath = Annotated[str | None, _MODEL]
ModelPaths = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    argument(
        _MODEL_NAMES,
        "Model to draw; give the option twice to compare two models.",
        hint="(required)",
        short="-m",
    ),
]
ModelsToChoose = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    argument(
        _MODEL_NAMES,
        f"{_MODEL_HELP} Of a sweep, a folder of model folders, or several models "
        "(-m A -m B), one is chosen for each file.",
        hint="(default: demo)",
        short="-m",
    ),
]
ModelsToDecode = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    argument(
        _MODEL_NAMES,
        f"{_MODEL_HELP} Of a sweep, a folder of model folders, or several models "
        "(-m A -m B), each file takes the one that made it.",
        hint="(default: any in the store)",
        short="-m",
    ),
]
ModelName = Annotated[
    bool, tyro.conf.arg(help="Leave the name of the model out of the file.")
]
Bpp = Annotated[
    float | None,
    argument(
        "NUMBER",
        "Choose the model with the best quality in at most so many bits per pixel.",
        hint="",
    ),
]
Psnr = Annotated[
    float | None,
    argument(
        "DB",
        "Choose the model with the smallest file of at least this PSNR.",
        hint="",
    ),
]
TargetSize = Annotated[
    str | None,
    argument(
        "BYTES",
        "Choose the model with the best quality in at most this size, such as 20KB.",
        hint="",
    ),
]
Run = Annotated[
    Positional[str],
    argument("RUN[@MEMBER]", "Run directory, with a member if it is a sweep."),
]
Checkpoint = Annotated[
    str,
    argument(
        "newest|best|STEP",
        "Checkpoint of a run; best has the lowest loss on held-out images.",
    ),
]

Image = Annotated[Positional[UserPath], argument("IMAGE", "Image to draw.")]
Images = Annotated[
    Positional[tuple[UserPath, ...]],
    argument(
        "IMAGE|DIR…", "Images, and folders of images, searched recursively.", hint=""
    ),
]
ImagesToCode = Annotated[
    Positional[tuple[UserPath, ...]],
    argument(
        "IMAGE|DIR…",
        "Images, and folders of images, searched recursively; - is standard input.",
        hint="",
    ),
]
ImageFolder = Annotated[
    Positional[UserPath], argument("DIR", "Folder of images, searched recursively.")
]
FilesAndFolders = Annotated[
    Positional[tuple[UserPath, ...]],
    argument(
        "FILE|DIR…",
        "Compressed files, and folders, searched for .jxc files; - is standard input.",
        hint="",
    ),
]
JsonPath = Annotated[
    UserPath | None,
    argument(
        "FILE", "JSON file to write the results to; - is standard output.", hint=""
    ),
]

OutputPath = Annotated[
    str | None,  # A Path would lose the slash at the end of a folder.
    argument(
        "PATH",
        "Output file, or output folder for several inputs or a folder; - is standard "
        "output.",
        hint="(default: beside each input)",
        short="-o",
    ),
]
FigurePath = Annotated[
    str | None,
    argument(
        "PATH",
        "PNG file to write, or its folder.",
        hint="(default: beside the image)",
        short="-o",
    ),
]
NewModelPath = Annotated[
    UserPath, argument("PATH", "Model folder to write.", short="-o")
]
ReportFolder = Annotated[
    UserPath, argument("DIR", "Folder to write the report to.", short="-o")
]
ExportFolder = Annotated[
    UserPath, argument("DIR", "Folder to write the export to.", short="-o")
]

Background = Annotated[
    str | None,
    argument(
        "COLOR",
        "Color over which transparent images are laid, such as white or #ffcc00.",
        hint="(default: transparency is kept)",
    ),
]
MetadataChoice = Annotated[
    Literal["drop", "keep"],
    tyro.conf.arg(
        help="Whether files keep EXIF data, XMP, the ICC profile and its color space."
    ),
]
AllPages = Annotated[
    bool,
    tyro.conf.arg(help="Code each page, frame or picture of a file, not only one."),
]
MaxMegapixels = Annotated[
    float,
    argument("NUMBER", "Size of the largest image to read, in million pixels."),
]
Memory = Annotated[
    str | None,
    argument(
        "BYTES",
        "Memory that coding may take, such as 2GB; files do not depend on it.",
        hint="(default: half of what is free)",
    ),
]
Jobs = Annotated[
    int | None,
    argument(
        "NUMBER",
        "Files to code at once; large images are coded one after another.",
        hint="(default: one more than the threads of the CPU, at most 4)",
    ),
]
SkipExisting = Annotated[
    bool,
    tyro.conf.arg(help="Leave out inputs whose outputs exist, after an interruption."),
]
Force = Annotated[bool, tyro.conf.arg(help="Replace existing files.")]
Fast = Annotated[
    bool,
    tyro.conf.arg(
        help="Use float32: faster, but other machines may fail to decode the file."
    ),
]
