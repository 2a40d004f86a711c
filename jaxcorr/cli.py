"""The command line: `jaxcorr compress | decompress | evaluate | info | pack`."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro
from tqdm.auto import tqdm

from jaxcorr import errors, files, images, model_folder
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.evaluation import rows, table
from jaxcorr.model_folder import Model

FILE_SUFFIX = ".jxc"

Inputs = tyro.conf.Positional[tuple[Path, ...]]
ModelPath = Annotated[
    Path, tyro.conf.arg(aliases=["-m"], help="Run directory or model folder.")
]
OutputPath = Annotated[
    Path | None, tyro.conf.arg(aliases=["-o"], help="File, or folder for several.")
]
Checkpoint = Annotated[
    str, tyro.conf.arg(help="Of a run: newest, best on held-out images, or a step.")
]
Force = Annotated[bool, tyro.conf.arg(help="Replace files that exist.")]
Fast = Annotated[
    bool,
    tyro.conf.arg(help="Float32 on this device: other machines may fail to read it."),
]


def compress(
    images_: Annotated[Inputs, tyro.conf.arg(name="images", metavar="IMAGE…")],
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    force: Force = False,
) -> None:
    """Codes images to files, by default beside them with the ending .jxc."""
    targets = _targets(images_, output, FILE_SUFFIX, force=force)
    loaded = model_folder.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, target: Path) -> str:
        image = _read_image(source)
        container, _ = coding.encode(loaded, image, arithmetic=arithmetic)
        data = container.to_bytes()
        files.write_file(target, data)
        bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
        return f"{len(data)} bytes, {bpp:.4f} bpp"

    _convert_all(targets, convert)


def decompress(
    files_: Annotated[Inputs, tyro.conf.arg(name="files", metavar="FILE…")],
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Reads images back from files, by default beside them with the ending .png."""
    targets = _targets(files_, output, ".png", force=force)
    loaded = model_folder.load(model, checkpoint=checkpoint)

    def convert(source: Path, target: Path) -> str:
        image = coding.decompress(loaded, _read_file(source), name=str(source))
        images.write_image(target, image)
        return f"{image.shape[1]} x {image.shape[0]}"

    _convert_all(targets, convert)


def evaluate(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    model: ModelPath,
    checkpoint: Checkpoint = "best",
    json: Path | None = None,
    fast: Fast = False,
) -> None:
    """Codes every image below a folder to real bytes and back, and prints a table.

    Args:
      directory: Folder of images.
      model: Run directory or model folder.
      checkpoint: Of a run: newest, best on held-out images, or a step.
      json: File to write the measurements to.
      fast: As in `jaxcorr compress`.
    """
    paths = images.find_images(directory)
    loaded = model_folder.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    measured, failed = [], False
    for path in tqdm(paths, unit="image", dynamic_ncols=True):
        try:
            image = _read_image(path)
        except UserError as error:
            failed = True
            tqdm.write(f"jaxcorr: error: {error}", file=sys.stderr)
            continue
        name = str(path.relative_to(directory))
        coded = rows.measure(loaded, image, name, arithmetic=arithmetic)
        measured.append(coded.row)
    if not measured:
        raise UserError(f"no image below {directory} can be read")
    print(table.as_text(measured))
    if json is not None:
        files.write_file(json, table.as_json(measured, _about(loaded, model)).encode())
    if failed:
        sys.exit(2)


def info(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")],
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
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="The model folder.")],
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Copies the model of a run into a folder of its own."""
    model = model_folder.load(run, checkpoint=checkpoint)
    if output.exists() and not force:
        raise UserError(f"{output} exists; give --force to replace it")
    model_folder.write_model(output, model)
    print(f"{output}: model {model.fingerprint.hex()}, step {model.about.get('step')}")


def main() -> None:
    """Runs the command that the command line names."""
    commands: dict[str, Callable] = {
        function.__name__: function
        for function in (compress, decompress, evaluate, info, pack)
    }
    _cache_programs()
    with errors.told_in_one_line():
        tyro.extras.subcommand_cli_from_dict(
            commands, prog="jaxcorr", description=__doc__
        )


def _convert_all(
    targets: Sequence[tuple[Path, Path]], convert: Callable[[Path, Path], str]
) -> None:
    """Converts one file after another; a bad one is told of and the rest go on."""
    failed = False
    for source, target in tqdm(targets, unit="file", disable=len(targets) == 1):
        start = time.perf_counter()
        try:
            result = convert(source, target)
        except UserError as error:
            failed = True
            tqdm.write(f"jaxcorr: error: {error}", file=sys.stderr)
            continue
        seconds = time.perf_counter() - start
        tqdm.write(f"{source} -> {target}: {result}, {seconds:.2f} s")
    if failed:
        sys.exit(2)


def _targets(
    sources: Sequence[Path], output: Path | None, suffix: str, *, force: bool
) -> list[tuple[Path, Path]]:
    """Where each input goes; refuses, before any work, to lose a file."""
    if not sources:
        raise UserError("no input is named")
    several = len(sources) > 1 or (output is not None and output.is_dir())
    if output is None:
        targets = [source.with_suffix(suffix) for source in sources]
    elif several:
        targets = [output / f"{source.stem}{suffix}" for source in sources]
    else:
        targets = [output]
    taken: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        if target in taken:
            raise UserError(f"{taken[target]} and {source} would both become {target}")
        if target.resolve() == source.resolve():
            raise UserError(f"{target} would replace its own input")
        if target.exists() and not force:
            raise UserError(f"{target} exists; give --force to replace it")
        taken[target] = source
    return list(zip(sources, targets, strict=True))


def _read_image(path: Path):
    """Reads an image, and says on standard error what had to be converted."""
    image, note = images.read_image(path)
    if note:
        tqdm.write(f"jaxcorr: {note}", file=sys.stderr)
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
    if jax.config.read("jax_compilation_cache_dir") is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "jaxcorr"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_compilation_cache_max_size", 2**30)
