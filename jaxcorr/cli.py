"""The command line: `jaxcorr compress | decompress | evaluate | info | pack | …`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
import tyro

from jaxcorr import (
    conversion,
    errors,
    files,
    images,
    memory,
    model_folder,
    run_folder,
)
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.evaluation import table
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
    str,
    tyro.conf.arg(
        aliases=["-m"],
        metavar="MODEL|RUN[@MEMBER]",
        help="Model folder, or run directory; of a sweep, which member.",
    ),
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
    loaded = run_folder.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, target: Path) -> str:
        image = conversion.read_image(source)
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
    loaded = run_folder.load(model, checkpoint=checkpoint)

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
    """Codes every image below a folder to real bytes and back, and prints a table.

    Of a sweep, all members are evaluated one after another.
    """
    paths = images.find_images(directory)
    if json is not None:
        files.check_target(json)
    models = run_folder.paths_of_models(model)
    targets = dict.fromkeys(models, json)
    if json is not None and len(models) > 1:
        targets = {each: _of_member(json, each) for each in models}
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    whole = True
    for each, target in targets.items():
        loaded = run_folder.load(each, checkpoint=checkpoint)
        measured = conversion.measure_all(
            loaded, directory, paths, arithmetic=arithmetic
        )
        if len(models) > 1:
            print(f"{each}: {run_folder.describe_member(loaded)}\n")
        print(table.as_text(measured))
        if target is not None:
            about = _about(loaded, each)
            files.write_file(target, table.as_json(measured, about).encode())
        whole &= len(measured) == len(paths)
    if not whole:
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
        tyro.conf.Positional[str],
        tyro.conf.arg(metavar="RUN[@MEMBER]", help="Run directory."),
    ],
    output: NewModelPath,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Copies the model of a run into a folder of its own."""
    _check_model_target(output, force=force)
    model = run_folder.load(run, checkpoint=checkpoint)
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
    memory.keep_freed()
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


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _of_member(json: Path, model: str) -> Path:
    """Where the table of a member of a sweep goes: one model a file."""
    return json.with_stem(f"{json.stem}@{model.rpartition('@')[2]}")


def _about(model: Model, path: str) -> dict:
    return {"path": path, "fingerprint": model.fingerprint.hex()} | dict(model.about)


def _cache_programs() -> None:
    """Keeps compiled programs between commands, where the user's caches are."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "jaxcorr"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
