"""Commands that compress images and decode compressed files.

Heavy modules are imported in the functions, so that the help of the commands, and
`info`, need no JAX.
"""

import sys
from collections.abc import Sequence
from typing import Any

from jaxcorr import image_files
from jaxcorr.bitstream.container import HEADER_BYTES, Arithmetic, Container
from jaxcorr.bitstream.sections import Section
from jaxcorr.cli import output as results
from jaxcorr.cli.arguments import (
    AllPages,
    Background,
    Bpp,
    Checkpoint,
    Fast,
    FilesAndFolders,
    Force,
    ImagesToCode,
    JsonPath,
    MaxMegapixels,
    Memory,
    MetadataChoice,
    ModelsToChoose,
    OutputPath,
    Psnr,
    SkipExisting,
    TargetSize,
)
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path, exists, is_folder

FILE_SUFFIX = ".jxc"
IMAGE_SUFFIX = ".png"


def compress(
    paths: ImagesToCode,
    model: ModelsToChoose = (),
    output: OutputPath = None,
    bpp: Bpp = None,
    psnr: Psnr = None,
    size: TargetSize = None,
    background: Background = None,
    metadata: MetadataChoice = "drop",
    all_pages: AllPages = False,
    max_megapixels: MaxMegapixels = 178.0,
    memory: Memory = None,
    checkpoint: Checkpoint = "best",
    fast: Fast = False,
    skip_existing: SkipExisting = False,
    force: Force = False,
) -> None:
    """Compresses images to .jxc files, by default beside the images.

    A folder stands for all images below it. With --bpp, --psnr or --size, each image is
    coded with the one of several models that meets the target best.
    """
    from jaxcorr import images
    from jaxcorr.bitstream import model_choice, rate_target, side_sections
    from jaxcorr.cli import batch

    target = rate_target.make_target(bpp=bpp, psnr=psnr, size=size)
    limit = rate_target.memory_limit(memory)
    color = None if background is None else images.parse_color(background)
    images.limit_megapixels(max_megapixels)
    models = _open_models(model, checkpoint)  # A missing model is reported first.
    items = batch.plan(
        paths,
        output,
        FILE_SUFFIX,
        force=force,
        skip_existing=skip_existing,
        find_files=images.find_images,
        count_pages=images.count_pages if all_pages else None,
    )
    for item in items:
        if item.target.suffix.lower() in image_files.SUFFIXES:
            raise UserError(
                f"{item.target} is the name of an image: a compressed file ends in "
                f"{FILE_SUFFIX}"
            )
    with results.timed("read the model"):
        opened = model_choice.read_models(models, target)
    for one in opened:
        results.print_detail(f"model {one.path}: {one.fingerprint.hex()}")
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def convert(item: batch.Item) -> str:
        keep = metadata == "keep"
        with results.timed("read the image"):
            if results.is_standard_stream(item.source):
                data = results.read_data(item.source)
                picture = images.decode(data, name=item.name, keep_metadata=keep)
            else:
                picture = images.read(item.source, page=item.page, keep_metadata=keep)
        if color is not None:
            picture = picture.over(color)
        if note := picture.note(str(item.source)):
            results.print_note(note)
        with results.timed("encode"):
            file = model_choice.encode(
                opened,
                picture.rgb,
                target,
                arithmetic=arithmetic,
                memory=limit,
                sections=side_sections.pack(picture),
                name=item.name,
            )
        results.write_data(item.target, file.data)
        return file.describe(target)

    batch.convert_files(items, convert)


def decompress(
    paths: FilesAndFolders,
    model: ModelsToChoose = (),
    output: OutputPath = None,
    memory: Memory = None,
    checkpoint: Checkpoint = "best",
    skip_existing: SkipExisting = False,
    force: Force = False,
) -> None:
    """Decodes files to images, by default .png files beside them.

    A folder stands for all .jxc files below it.
    """
    from jaxcorr import images
    from jaxcorr.bitstream import coding, rate_target, side_sections
    from jaxcorr.cli import batch
    from jaxcorr.model_set import model_name

    limit = rate_target.memory_limit(memory)
    models = _open_models(model, checkpoint)  # A missing model is reported first.
    items = batch.plan(
        paths,
        output,
        IMAGE_SUFFIX,
        force=force,
        skip_existing=skip_existing,
        find_files=_find_compressed,
    )
    for item in items:
        is_stream = results.is_standard_stream(item.source)
        if is_stream or exists(item.source):  # A missing input is reported as such.
            images.check_suffix(_image_name(item.target))
    for fingerprint, one in models.fingerprints.items():
        results.print_detail(f"model {model_name(one)}: {fingerprint}")

    def convert(item: batch.Item) -> str:
        container = Container.from_bytes(results.read_data(item.source), item.name)
        with results.timed("read the model"):
            opened = models.find(container.fingerprint, item.name)
        with results.timed("decode"):
            pixels, _ = coding.decode(
                opened, container, name=item.name, memory=limit, keep_predictions=False
            )
        picture = side_sections.unpack(container.sections, pixels, item.name)
        data, picture = images.encode(picture, _image_name(item.target))
        results.write_data(item.target, data)
        if note := picture.note(str(item.target)):
            results.print_note(note)
        return f"{container.width} x {container.height}"

    batch.convert_files(items, convert)


def _image_name(target: AnyPath) -> AnyPath:
    """Returns the path whose extension says the format of a decoded image."""
    is_stream = results.is_standard_stream(target)
    return as_path(f"image{IMAGE_SUFFIX}") if is_stream else target


def info(paths: FilesAndFolders, json: JsonPath = None) -> None:
    """Prints the headers of compressed files (needs no model)."""
    if not paths:
        raise UserError("no input file is given")
    if json is not None:
        results.check_json(json)
    found = [
        file
        for path in paths
        for file in (_find_compressed(path) if is_folder(path) else [path])
    ]
    headers = {}
    for path in found:
        try:
            headers[path] = _describe_header(path)
        except UserError as error:
            results.print_error(str(error))
    if not results.is_standard_stream(json):
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


def _find_compressed(folder: AnyPath) -> list[AnyPath]:
    """Returns the compressed files below a folder, sorted by path.

    Raises:
      UserError: If there are none.
    """
    found = image_files.scan_files(folder, {FILE_SUFFIX})
    paths = [as_path(entry.path) for entry in found]
    if not paths:
        raise UserError(f"{folder} holds no compressed file (looked for {FILE_SUFFIX})")
    return paths


def _describe_header(path: AnyPath) -> dict[str, Any]:
    """Returns the header of a compressed file, and the sizes of its parts, as JSON.

    Raises:
      UserError: If the file cannot be read or is damaged.
    """
    data = results.read_data(path)
    container = Container.from_bytes(data, str(path))
    y_bytes, z_bytes = len(container.y_payload), len(container.z_payload)
    sections = {
        _section_name(kind): len(content)
        for kind, content in container.sections.items()
    }
    return {
        "file": str(path),
        "format": container.version,
        "width": container.width,
        "height": container.height,
        "bytes": len(data),
        "header_bytes": HEADER_BYTES,
        "z_bytes": z_bytes,
        "y_bytes": y_bytes,
        "sections": sections,
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
        "beside": "{beside}",
        "model": "{model}",
        "arithmetic": "{arithmetic}",
        "grid offset": "{grid_offset}",
    }
    sections = header["sections"].items()
    beside = ", ".join(f"{name} {size} bytes" for name, size in sections)
    if not beside:
        del lines["beside"]
    return [
        f"{name:12}{line.format(**header, beside=beside)}"
        for name, line in lines.items()
    ]


def _section_name(kind: int) -> str:
    """Returns the name of a type of side section, or its number if it is unknown."""
    return Section(kind).name.lower() if kind in set(Section) else str(kind)
