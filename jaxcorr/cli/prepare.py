"""The command that prepares images for training."""

from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import runtime
from jaxcorr.cli.arguments import UserPath, argument
from jaxcorr.errors import UserError
from jaxcorr.extras import needs_extra
from jaxcorr.paths import as_path

Sources = Annotated[
    Positional[tuple[str, ...]],
    argument(
        "SOURCE…",
        "Folders of images, searched recursively, and tfds:NAME or arrayrecord:DIR.",
        hint="",
    ),
]
Output = Annotated[
    UserPath | None, argument("DIR", "Folder to write tiles to.", hint="", short="-o")
]
Tile = Annotated[
    int, argument("PIXELS", "Largest side of a tile; 0 keeps images whole.")
]
MinSide = Annotated[
    int | None,
    argument(
        "PIXELS",
        "Leave out images with a shorter side.",
        hint="(default: half a tile, or 64 without tiles)",
    ),
]
Downscale = Annotated[
    tuple[float, ...],
    argument(
        "LEAST [MOST]",
        "Divide the sides of each image by a number, random if it is a range, to "
        "weaken the traces of JPEG.",
        hint="(default: 1)",
    ),
]
Seed = Annotated[int, argument("NUMBER", "Seed of the random numbers of --downscale.")]
Jpeg = Annotated[
    int,
    argument(
        "QUALITY",
        "Store tiles as JPEG of this quality, which training decodes in a fraction of "
        "the time; 0 stores them without loss. JPEG and PNG files that are not cut "
        "stay as they are.",
    ),
]
Workers = Annotated[
    int | None,
    argument("NUMBER", "Processes that work.", hint="(default: one for each core)"),
]
Unique = Annotated[
    bool,
    tyro.conf.arg(help="Leave out files that equal an earlier one, byte for byte."),
]
ImagesPerShard = Annotated[
    int,
    argument("NUMBER", "Images whose tiles are in a file, which a worker writes."),
]
BeamRunner = Annotated[
    str | None,
    argument(
        "RUNNER",
        "Work by Apache Beam, on this runner, such as DirectRunner.",
        hint="",
    ),
]
BeamOptions = Annotated[
    str,
    argument(
        "OPTIONS",
        "Options of Beam's pipeline, such as='--direct_num_workers=4'.",
        hint="",
    ),
]
Split = Annotated[str, argument("SPLIT", "Split of tfds:NAME.")]
Directory = Annotated[
    str | None,
    argument(
        "DIR", "Folder of tfds:NAME.", hint="(default: the folder that TFDS uses)"
    ),
]
Feature = Annotated[
    str | None,
    argument("NAME", "Image feature of tfds:NAME, if it has several.", hint=""),
]
List = Annotated[
    bool,
    tyro.conf.arg(
        name="list",
        help="Print where the usual data sets are, and how to prepare them.",
    ),
]
DataDir = Annotated[
    UserPath | None,
    argument(
        "DIR",
        "Write a TFDS data set below this folder, without tiles. Takes --name.",
        hint="",
    ),
]
Name = Annotated[
    str | None,
    argument(
        "NAME",
        "Name of the TFDS data set, of letters, digits and underscores.",
        hint="",
    ),
]


def prepare(
    sources: Sources = (),
    output: Output = None,
    tile: Tile = 512,
    min_side: MinSide = None,
    downscale: Downscale = (),
    seed: Seed = 0,
    jpeg: Jpeg = 0,
    workers: Workers = None,
    unique: Unique = False,
    images_per_shard: ImagesPerShard = 256,
    split: Split = "train",
    directory: Directory = None,
    feature: Feature = None,
    beam_runner: BeamRunner = None,
    beam_options: BeamOptions = "",
    list_sets: List = False,
    data_dir: DataDir = None,
    name: Name = None,
) -> None:
    """Cuts images into tiles, in a folder to train on.

    Tiles are stored without loss, unless --jpeg is given. The same command goes on
    after an interruption, and writes the same bytes.
    """
    if list_sets:
        from jaxcorr.data import image_sets

        print(image_sets.describe())
    elif not sources:
        raise UserError("give a folder of images, or --list for the usual data sets")
    elif data_dir is not None or name is not None:
        if len(sources) != 1 or output is not None or None in (data_dir, name):
            raise UserError(
                "a TFDS data set takes one folder of images, --data-dir and --name; "
                "tiles take -o"
            )
        with needs_extra("tfds", "jaxcorr prepare --data-dir"):
            from jaxcorr.data import tfds_writer
        assert data_dir is not None and name is not None
        print(tfds_writer.prepare(as_path(sources[0]), data_dir=data_dir, name=name))
    elif output is None:
        raise UserError("name the folder to write by -o DIR")
    else:
        from jaxcorr.data import listed_images, shard_runners, tile_writer
        from jaxcorr.data.array_record_reader import import_array_record
        from jaxcorr.data.tiles import TileConfig

        import_array_record("jaxcorr prepare")
        if not 0 <= len(downscale) <= 2:
            raise UserError("--downscale takes one number, or the two of a range")
        least, *most = downscale or (1.0,)
        config = TileConfig(
            tile=tile,
            min_side=(tile // 2 or 64) if min_side is None else min_side,
            downscale=(least, most[0] if most else least),
            seed=seed,
            jpeg=jpeg,
        )
        if beam_runner is None:
            threads = runtime.usable_threads() if workers is None else workers
            runner = shard_runners.in_processes(threads)
        else:
            runner = shard_runners.in_beam(beam_runner, beam_options.split())
        images = listed_images.list_images(
            sources, split=split, directory=directory, feature=feature
        )
        written = tile_writer.write_tiles(
            images,
            output,
            config,
            runner=runner,
            images_per_shard=images_per_shard,
            unique=unique,
        )
        print(written)
