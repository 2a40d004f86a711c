"""Commands that compress images and decode compressed files.

Heavy modules are imported in the functions, so that the help of the commands needs no
JAX.
"""

import contextlib
import io
import threading
from typing import Any

from jaxcorr import image_files
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.bitstream.sections import unpack_model_name
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
    Jobs,
    MaxMegapixels,
    Memory,
    MetadataChoice,
    ModelName,
    ModelsToChoose,
    ModelsToDecode,
    OutputPath,
    Psnr,
    SkipExisting,
    TargetSize,
)
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path, exists

Changes = tuple[str, ...]
"""What writing a picture changed, in words."""

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
    model_name: ModelName = True,
    all_pages: AllPages = False,
    max_megapixels: MaxMegapixels = 178.0,
    memory: Memory = None,
    jobs: Jobs = None,
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
    from jaxcorr.cli import batch, conversion, room
    from jaxcorr.model_set import ModelSet
    from jaxcorr.run_directory import DEMO

    conversion.check_jobs(jobs)
    target = rate_target.make_target(bpp=bpp, psnr=psnr, size=size)
    limit = rate_target.memory_limit(memory)
    color = None if background is None else images.parse_color(background)
    images.limit_megapixels(max_megapixels)
    # A missing model is reported first.
    models = ModelSet(model or DEMO, checkpoint=checkpoint)
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
    largest = max(
        (one.config.transforms for one in opened),
        key=lambda transforms: transforms.bytes_per_pixel,
    )
    space = room.Room(limit)

    def convert(item: batch.Item) -> str:
        size = (0, 0)
        if not results.is_standard_stream(item.source):
            size = images.read_size(item.source)
        with space.coding(largest, size):
            return compress_file(item)

    def compress_file(item: batch.Item) -> str:
        keep = metadata == "keep"
        with results.timed("read the image"):
            if results.is_standard_stream(item.source):
                data = io.BytesIO(results.read_data(item.source))
                rows = images.decode_rows(data, name=item.name, keep_metadata=keep)
            else:
                rows = images.read_rows(item.source, page=item.page, keep_metadata=keep)
        if color is not None:
            rows = rows.over(color)
        with contextlib.closing(rows), results.timed("encode"):
            file = model_choice.encode(
                opened,
                rows,
                target,
                arithmetic=arithmetic,
                memory=limit,
                sections=lambda: side_sections.pack(rows),
                with_model_name=model_name,
                name=item.name,
            )
        if note := rows.note(str(item.source)):
            results.print_note(note)
        results.write_data(item.target, file.data)
        return file.describe(target)

    conversion.convert_files(items, convert, jobs=jobs)


def decompress(
    paths: FilesAndFolders,
    model: ModelsToDecode = (),
    output: OutputPath = None,
    memory: Memory = None,
    jobs: Jobs = None,
    checkpoint: Checkpoint = "best",
    skip_existing: SkipExisting = False,
    force: Force = False,
) -> None:
    """Decodes files to images, by default .png files beside them.

    A folder stands for all .jxc files below it. Without a model, each file finds its
    own in the store.
    """
    from jaxcorr import images
    from jaxcorr.bitstream import coding, rate_target, side_sections
    from jaxcorr.bitstream.compression import decoding_models
    from jaxcorr.cli import batch, conversion, room
    from jaxcorr.model_set import model_name

    conversion.check_jobs(jobs)
    limit = rate_target.memory_limit(memory)
    # A missing model is reported first.
    models = decoding_models(model or None, checkpoint=checkpoint)
    items = batch.plan(
        paths,
        output,
        IMAGE_SUFFIX,
        force=force,
        skip_existing=skip_existing,
        find_files=find_compressed,
    )
    for item in items:
        is_stream = results.is_standard_stream(item.source)
        if is_stream or exists(item.source):  # A missing input is reported as such.
            images.check_suffix(_image_name(item.target))
    for fingerprint, one in models.fingerprints.items():
        results.print_detail(f"model {model_name(one)}: {fingerprint}")

    space, reading = room.Room(limit), threading.Lock()

    def write_rows(item: batch.Item, opened: Any, container: Container) -> Changes:
        size, image_name = (container.height, container.width), _image_name(item.target)
        with space.coding(opened.config.transforms, size), results.timed("decode"):
            bands = coding.decode_rows(opened, container, name=item.name, memory=limit)
            pictures = side_sections.unpack_rows(
                container.sections, bands, size, item.name
            )
            with results.open_output(item.target) as file:
                return images.write_rows(file, image_name, size[0], pictures)

    def write_whole(item: batch.Item, opened: Any, container: Container) -> Changes:
        size = container.height, container.width
        with contextlib.ExitStack() as writing:
            with space.coding(opened.config.transforms, size), results.timed("decode"):
                pixels, _ = coding.decode(
                    opened,
                    container,
                    name=item.name,
                    memory=limit,
                    keep_predictions=False,
                )
                writing.enter_context(space.writing(size))
            picture = side_sections.unpack(container.sections, pixels, item.name)
            data, picture = images.encode(picture, _image_name(item.target))
            results.write_data(item.target, data)
        return picture.changes

    def convert(item: batch.Item) -> str:
        container = Container.from_bytes(results.read_data(item.source), item.name)
        with reading, results.timed("read the model"):
            called = unpack_model_name(container.sections)
            opened = models.find(container.fingerprint, item.name, called=called)
        is_large = images.is_large((container.height, container.width))
        by_rows = is_large and images.writes_rows(_image_name(item.target))
        changes = (write_rows if by_rows else write_whole)(item, opened, container)
        if note := images.describe_changes(str(item.target), changes):
            results.print_note(note)
        return f"{container.width} x {container.height}"

    conversion.convert_files(items, convert, jobs=jobs)


def _image_name(target: AnyPath) -> AnyPath:
    """Returns the path whose extension says the format of a decoded image."""
    is_stream = results.is_standard_stream(target)
    return as_path(f"image{IMAGE_SUFFIX}") if is_stream else target


def find_compressed(folder: AnyPath) -> list[AnyPath]:
    """Returns the compressed files below a folder, sorted by path.

    Raises:
      UserError: If there are none.
    """
    found = image_files.scan_files(folder, {FILE_SUFFIX})
    paths = [as_path(entry.path) for entry in found]
    if not paths:
        raise UserError(f"{folder} holds no compressed file (looked for {FILE_SUFFIX})")
    return paths
