"""Commands that compress images and decode compressed files.

Heavy modules are imported in the functions, so that the help of the commands, and
`info`, need no JAX.
"""

import sys
from pathlib import Path
from typing import Any

from jaxcorr import files
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.cli import output as results
from jaxcorr.cli.arguments import (
    Checkpoint,
    Fast,
    Files,
    FilesAndFolders,
    Force,
    Images,
    JsonPath,
    ModelPathOrDemo,
    OutputPath,
)
from jaxcorr.errors import UserError

FILE_SUFFIX = ".jxc"


def compress(
    paths: Images,
    model: ModelPathOrDemo = None,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    force: Force = False,
) -> None:
    """Compresses images to .jxc files, by default beside the images.

    A folder stands for all images below it.
    """
    from jaxcorr import images, run_directory
    from jaxcorr.bitstream import coding
    from jaxcorr.cli import batch

    name = model or run_directory.DEMO
    run_directory.model_paths(name)  # A missing model is reported first.
    pairs = batch.output_paths(
        paths, output, FILE_SUFFIX, force=force, find_files=images.find_images
    )
    loaded = _load_model(name, checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, target: Path) -> str:
        with results.timed("read the image"):
            image = batch.read_image(source)
        with results.timed("encode"):
            container, _ = coding.encode(loaded, image, arithmetic=arithmetic)
        data = container.to_bytes()
        files.write_file(target, data)
        bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
        return f"{len(data)} bytes, {bpp:.4f} bpp"

    batch.convert_files(pairs, convert)


def decompress(
    paths: FilesAndFolders,
    model: ModelPathOrDemo = None,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Decodes files to images, by default .png files beside them.

    A folder stands for all .jxc files below it.
    """
    from jaxcorr import images, run_directory
    from jaxcorr.bitstream import coding
    from jaxcorr.cli import batch

    name = model or run_directory.DEMO
    run_directory.model_paths(name)  # A missing model is reported first.
    pairs = batch.output_paths(
        paths, output, ".png", force=force, find_files=_find_compressed
    )
    for _, target in pairs:
        images.check_suffix(target)
    loaded = _load_model(name, checkpoint)

    def convert(source: Path, target: Path) -> str:
        container = Container.from_bytes(files.read_file(source), str(source))
        if model is None and container.fingerprint != loaded.fingerprint:
            raise UserError(
                f"{source} was made with model {container.fingerprint.hex()}, not with "
                f"the demo: give that model with -m"
            )
        with results.timed("decode"):
            image, _ = coding.decode(loaded, container, name=str(source))
        images.write_image(target, image)
        return f"{image.shape[1]} x {image.shape[0]}"

    batch.convert_files(pairs, convert)


def info(paths: Files, json: JsonPath = None) -> None:
    """Prints the headers of compressed files (needs no model)."""
    if not paths:
        raise UserError("no input file is given")
    if json is not None:
        results.check_json(json)
    headers = {}
    for path in paths:
        try:
            headers[path] = _describe_header(path)
        except UserError as error:
            results.print_error(str(error))
    if not results.is_standard_output(json):
        blocks = [
            [*([str(path)] if len(paths) > 1 else []), *_format_header(header)]
            for path, header in headers.items()
        ]
        if blocks:
            print("\n\n".join("\n".join(block) for block in blocks))
    if json is not None:
        results.write_json(json, list(headers.values()))
    if len(headers) < len(set(paths)):
        sys.exit(2)


def _load_model(path: str, checkpoint: str) -> Any:
    """Reads a model, and prints what it is as a detail."""
    from jaxcorr import run_directory

    with results.timed("read the model"):
        model = run_directory.load(path, checkpoint=checkpoint)
    results.print_detail(f"model {path}: {model.fingerprint.hex()}")
    return model


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
        "size": "{width} x {height} pixels",
        "bytes": "{bytes}: {header_bytes} header, {z_bytes} side information, "
        "{y_bytes} latents",
        "bpp": "{bpp:.4f}",
        "model": "{model}",
        "arithmetic": "{arithmetic}",
        "grid offset": "{grid_offset}",
    }
    return [f"{name:12}{line.format(**header)}" for name, line in lines.items()]
