"""Commands that compress images and decode compressed files.

Heavy modules are imported in the functions, so that the help of the commands, and
`info`, need no JAX.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcorr import files, image_files
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.cli import output as results
from jaxcorr.cli.arguments import (
    Bpp,
    Checkpoint,
    Fast,
    FilesAndFolders,
    Force,
    Images,
    JsonPath,
    ModelsToChoose,
    OutputPath,
    Psnr,
    TargetSize,
)
from jaxcorr.errors import UserError

FILE_SUFFIX = ".jxc"


def compress(
    paths: Images,
    model: ModelsToChoose = (),
    output: OutputPath = None,
    bpp: Bpp = None,
    psnr: Psnr = None,
    size: TargetSize = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    force: Force = False,
) -> None:
    """Compresses images to .jxc files, by default beside the images.

    A folder stands for all images below it. With --bpp, --psnr or --size, each image is
    coded with the one of several models that meets the target best.
    """
    from jaxcorr import images
    from jaxcorr.bitstream import model_choice, rate_target
    from jaxcorr.cli import batch

    target = rate_target.make_target(bpp=bpp, psnr=psnr, size=size)
    models = _open_models(model, checkpoint)  # A missing model is reported first.
    pairs = batch.output_paths(
        paths, output, FILE_SUFFIX, force=force, find_files=images.find_images
    )
    for _, path in pairs:
        if path.suffix.lower() in image_files.SUFFIXES:
            raise UserError(
                f"{path} is the name of an image: a compressed file ends in "
                f"{FILE_SUFFIX}"
            )
    with results.timed("read the model"):
        opened = model_choice.read_models(models, target)
    for one in opened:
        results.print_detail(f"model {one.path}: {one.fingerprint.hex()}")
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, path: Path) -> str:
        with results.timed("read the image"):
            image = batch.read_image(source)
        with results.timed("encode"):
            file = model_choice.encode(
                opened, image, target, arithmetic=arithmetic, name=str(source)
            )
        files.write_file(path, file.data)
        return file.describe(target)

    batch.convert_files(pairs, convert)


def decompress(
    paths: FilesAndFolders,
    model: ModelsToChoose = (),
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Decodes files to images, by default .png files beside them.

    A folder stands for all .jxc files below it.
    """
    from jaxcorr import images
    from jaxcorr.bitstream import coding
    from jaxcorr.cli import batch
    from jaxcorr.model_set import model_name

    models = _open_models(model, checkpoint)  # A missing model is reported first.
    pairs = batch.output_paths(
        paths, output, ".png", force=force, find_files=_find_compressed
    )
    for source, target in pairs:
        if source.exists():  # A missing input is reported as such.
            images.check_suffix(target)
    for fingerprint, one in models.fingerprints.items():
        results.print_detail(f"model {model_name(one)}: {fingerprint}")

    def convert(source: Path, target: Path) -> str:
        container = Container.from_bytes(files.read_file(source), str(source))
        with results.timed("read the model"):
            opened = models.find(container.fingerprint, str(source))
        with results.timed("decode"):
            image, _ = coding.decode(opened, container, name=str(source))
        images.write_image(target, image)
        return f"{image.shape[1]} x {image.shape[0]}"

    batch.convert_files(pairs, convert)


def info(paths: FilesAndFolders, json: JsonPath = None) -> None:
    """Prints the headers of compressed files (needs no model)."""
    if not paths:
        raise UserError("no input file is given")
    if json is not None:
        results.check_json(json)
    found = [
        file
        for path in paths
        for file in (_find_compressed(path) if path.is_dir() else [path])
    ]
    headers = {}
    for path in found:
        try:
            headers[path] = _describe_header(path)
        except UserError as error:
            results.print_error(str(error))
    if not results.is_standard_output(json):
        blocks = [
            [*([str(path)] if len(found) > 1 else []), *_format_header(header)]
            for path, header in headers.items()
        ]
        if blocks:
            print("\n\n".join("\n".join(block) for block in blocks))
    if json is not None:
        results.write_json(json, list(headers.values()))
    if len(headers) < len(set(found)):
        sys.exit(2)


def _open_models(names: Sequence[str], checkpoint: str) -> Any:
    """Returns the models with the given names, by default the demo.

    Raises:
      UserError: If a model does not exist.
    """
    from jaxcorr.model_set import ModelSet
    from jaxcorr.run_directory import DEMO

    return ModelSet(names or DEMO, checkpoint=checkpoint)


def _find_compressed(folder: Path) -> list[Path]:
    """Returns the compressed files below a folder, sorted by path.

    Raises:
      UserError: If there are none.
    """
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == FILE_SUFFIX and path.is_file()
    )
    if not paths:
        raise UserError(f"{folder} holds no compressed file (looked for {FILE_SUFFIX})")
    return paths


def _describe_header(path: Path) -> dict[str, Any]:
    """Returns the header of a compressed file, and the sizes of its parts, as JSON.

    Raises:
      UserError: If the file cannot be read or is damaged.
    """
    data = files.read_file(path)
    container = Container.from_bytes(data, str(path))
    y_bytes, z_bytes = len(container.y_payload), len(container.z_payload)
    return {
        "file": str(path),
        "format": container.version,
        "width": container.width,
        "height": container.height,
        "bytes": len(data),
        "header_bytes": len(data) - y_bytes - z_bytes,
        "z_bytes": z_bytes,
        "y_bytes": y_bytes,
        "bpp": 8 * len(data) / (container.width * container.height),
        "model": container.fingerprint.hex(),
        "arithmetic": container.arithmetic.name.lower(),
        "grid_offset": container.offset,
    }


def _format_header(header: dict[str, Any]) -> list[str]:
    """Returns the lines that `info` prints for a file."""
    lines = {
        "format": "{format}",
        "size": "{width} x {height} pixels",
        "bytes": "{bytes}: {header_bytes} header, {z_bytes} side information, "
        "{y_bytes} latents",
        "bpp": "{bpp:.4f}",
        "model": "{model}",
        "arithmetic": "{arithmetic}",
        "grid offset": "{grid_offset}",
    }
    return [f"{name:12}{line.format(**header)}" for name, line in lines.items()]
