"""Commands that compress images and decode compressed files."""

from pathlib import Path

from jaxcorr import files, images, run_directory
from jaxcorr.bitstream import coding, compression
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.cli import batch
from jaxcorr.cli.arguments import (
    Checkpoint,
    Fast,
    File,
    Files,
    Force,
    Images,
    ModelPath,
    OutputPath,
)

FILE_SUFFIX = ".jxc"


def compress(
    paths: Images,
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    force: Force = False,
) -> None:
    """Compresses images to .jxc files, by default beside the images."""
    targets = batch.output_paths(paths, output, FILE_SUFFIX, force=force)
    loaded = run_directory.load(model, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(source: Path, target: Path) -> str:
        image = batch.read_image(source)
        container, _ = coding.encode(loaded, image, arithmetic=arithmetic)
        data = container.to_bytes()
        files.write_file(target, data)
        bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
        return f"{len(data)} bytes, {bpp:.4f} bpp"

    batch.convert_files(targets, convert)


def decompress(
    paths: Files,
    model: ModelPath,
    output: OutputPath = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Decompresses files to images, by default .png files beside them."""
    targets = batch.output_paths(paths, output, ".png", force=force)
    for _, target in targets:
        images.check_suffix(target)
    loaded = run_directory.load(model, checkpoint=checkpoint)

    def convert(source: Path, target: Path) -> str:
        data = files.read_file(source)
        image = compression.decompress(data, loaded, name=str(source))
        images.write_image(target, image)
        return f"{image.shape[1]} x {image.shape[0]}"

    batch.convert_files(targets, convert)


def info(file: File) -> None:
    """Prints the header of a compressed file (needs no model)."""
    data = files.read_file(file)
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
