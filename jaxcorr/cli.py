"""The command line: `jaxcorr compress | decompress | evaluate | info | pack | …`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxcorr import conversion, errors, files, images, model_folder
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.evaluation import rows, table
from jaxcorr.interop import compressai
from jaxcorr.model_folder import Model

DESCRIPTION = "Turns photographs into small files and back, with a trained model."
FILE_SUFFIX = ".jxc"

Images = Annotated[
    tyro.conf.Positional[tuple[Path, ...]],
    tyro.conf.arg(metavar="IMAGE…", help="Photographs.", help_behavior_hint=""),
]
Files = Annotated[
    tyro.conf.Positional[tuple[Path, ...]],
    tyro.conf.arg(metavar="FILE…", help="Compressed files.", help_behavior_hint=""),
]
ModelPath = Annotated[
    Path, tyro.conf.arg(aliases=["-m"], help="Run directory or model folder.")
]
OutputPath = Annotated[
    Path | None,
    tyro.conf.arg(
        aliases=["-o"],
        metavar="PATH",
        help="File, or folder for several.",
        help_behavior_hint="(default: beside each input)",
    ),
]
NewModelPath = Annotated[Path, tyro.conf.arg(aliases=["-o"], help="The model folder.")]
Checkpoint = Annotated[
    str,
    tyro.conf.arg(
        metavar="newest|best|STEP", help="Of a run; best is on held-out images."
    ),
]
JsonPath = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="FILE", help="Also write the table here.", help_behavior_hint=""
    ),
]
Force = Annotated[bool, tyro.conf.arg(help="Replace files that exist.")]
Fast = Annotated[
    bool,
    tyro.conf.arg(help="Float32 on this device: other machines may fail to read it."),
]


def compress(
    images_: Images,
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    force: Force = False,
) -> None:
    """Codes images to files, by default beside them with the ending .jxc."""
    targets = conversion.targets(images_, output, FILE_SUFFIX, force=force)
    loaded = model_folder.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, target: Path) -> str:
        image = _read_image(source)
        container, _ = coding.encode(loaded, image, arithmetic=arithmetic)
        data = container.to_bytes()
        files.write_file(target, data)
        bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
        return f"{len(data)} bytes, {bpp:.4f} bpp"

    conversion.convert_all(targets, convert)


def decompress(
    files_: Files,
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Reads images back from files, by default beside them with the ending .png."""
    targets = conversion.targets(files_, output, ".png", force=force)
    for _, target in targets:
        images.check_target(target)
    loaded = model_folder.load(model, checkpoint=checkpoint)

    def convert(source: Path, target: Path) -> str:
        image = coding.decompress(loaded, _read_file(source), name=str(source))
        images.write_image(target, image)
        return f"{image.shape[1]} x {image.shape[0]}"

    conversion.convert_all(targets, convert)


def evaluate(
    directory: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="DIR", help="Folder of photographs."),
    ],
    model: ModelPath,
    checkpoint: Checkpoint = "best",
    json: JsonPath = None,
    fast: Fast = False,
) -> None:
    """Codes every image below a folder to real bytes and back, and prints a table."""
    paths = images.find_images(directory)
    if json is not None:
        files.check_target(json)
    loaded = model_folder.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    measured = []
    for path in tqdm(paths, unit="image", dynamic_ncols=True, disable=None):
        try:
            name = str(path.relative_to(directory))
            with conversion.memory_told(path):
                image = _read_image(path)
                coded = rows.measure(loaded, image, name, arithmetic=arithmetic)
        except UserError as error:
            conversion.tell(f"error: {error}")
            continue
        measured.append(coded.row)
    if not measured:
        raise UserError(f"{directory}: none of {len(paths)} images can be measured")
    print(table.as_text(measured))
    if json is not None:
        files.write_file(json, table.as_json(measured, _about(loaded, model)).encode())
    if len(measured) < len(paths):
        sys.exit(2)


def info(
    file: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="FILE", help="Compressed file."),
    ],
) -> None:
    """Prints what the header of a file says; needs no model."""
    data = _read_file(file)
    container = Container.from_bytes(data, str(file))
    header = len(data) - len(container.y_payload) - len(container.z_payload)
    lines = {
        "size": f"{container.width} x {container.height} pixels",
        "bytes": f"{len(data)}: {header} header, {len(container.z_payload)} side "
        f"information, {len(container.y_payload)} latents",
        "bpp": f"{8 * len(data) / (container.width * container.height):.4f}",
        "model": container.fingerprint.hex(),
        "arithmetic": container.arithmetic.name.lower(),
        "grid offset": str(container.offset),
    }
    for name, value in lines.items():
        print(f"{name:12}{value}")


def pack(
    run: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="RUN", help="Run directory."),
    ],
    output: NewModelPath,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Copies the model of a run into a folder of its own."""
    _check_model_target(output, force=force)
    model = model_folder.load(run, checkpoint=checkpoint)
    model_folder.write_model(output, model)
    step = f", step {model.about['step']}" if "step" in model.about else ""
    print(f"{output}: model {model.fingerprint.hex()}{step}")


def import_compressai(
    weights: Annotated[
        tyro.conf.Positional[Path],
        tyro.conf.arg(metavar="WEIGHTS", help="State dict: .pth, or .pth.tar."),
    ],
    architecture: Annotated[
        compressai.Architecture, tyro.conf.arg(help="What the weights are of.")
    ],
    output: NewModelPath,
    force: Force = False,
) -> None:
    """Turns weights of CompressAI into a model folder; needs torch."""
    _check_model_target(output, force=force)
    state = compressai.read_state(weights)
    model = compressai.convert(state, architecture, name=str(weights))
    model_folder.write_model(output, model)
    transforms = model.settings.transforms
    count = sum(array.size for array in model.parameters.values())
    print(
        f"{output}: model {model.fingerprint.hex()}, {architecture}, "
        f"{transforms.side_channels} hidden and {transforms.channels} latent channels, "
        f"{count:,} parameters"
    )


def main() -> None:
    """Runs the command that the command line names."""
    commands: dict[str, Callable] = {
        function.__name__.replace("_", "-"): function
        for function in (
            *(compress, decompress, evaluate, info, pack),
            import_compressai,
        )
    }
    _cache_programs()
    with errors.told_in_one_line():
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="jaxcorr",
            description=DESCRIPTION,
            args=sys.argv[1:] or ["--help"],
            config=(tyro.conf.FlagCreatePairsOff,),
        )


def _check_model_target(output: Path, *, force: bool) -> None:
    """Refuses, before any work, to replace anything but an older model folder."""
    if output.exists() and not (output / model_folder.CONFIG).is_file():
        raise UserError(f"{output} exists and is no model folder")
    if output.exists() and not force:
        raise UserError(f"{output} exists; give --force to replace it")


def _read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, and says on standard error what had to be converted."""
    image, note = images.read_image(path)
    if note:
        conversion.tell(note)
    return image


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _about(model: Model, path: Path) -> dict:
    return {"path": str(path), "fingerprint": model.fingerprint.hex()} | dict(
        model.about
    )


def _cache_programs() -> None:
    """Keeps compiled programs between commands, where the user's caches are."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "jaxcorr"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
