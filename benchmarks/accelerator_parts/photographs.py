"""The photographs of a packed program, in one file of encoded images.

The arrays `train` and `kodak` hold image files one after another as uint8, and
`train_ends` and `kodak_ends` the position at which each image file ends. The images are
decoded once, when the file is read.
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, UInt8
from PIL import Image, ImageOps

from jaxcorr import files, images
from jaxcorr.errors import UserError

KINDS = ("train", "kodak")
JPEG = ".jpg", ".jpeg"
LONGEST_SIDE = 512
"""Longest side, in pixels, of a photograph to train on; larger ones are shrunk."""
QUALITY = 95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photographs:
    """Decoded photographs.

    Attributes:
      train: Photographs to train on.
      kodak: Photographs to code.
    """

    train: Sequence[UInt8[np.ndarray, "h w 3"]]
    kodak: Sequence[UInt8[np.ndarray, "h w 3"]]


def write(path: Path, *, train: Path, kodak: Path, megabytes: float) -> int:
    """Writes Kodak losslessly, and as many photographs to train on as fit.

    Photographs to train on are sampled evenly from the folder. Large ones are shrunk;
    small JPEG files are copied unchanged.

    Args:
      path: File to write.
      train: Folder of photographs to train on.
      kodak: Folder of photographs to code.
      megabytes: Largest size of the file.

    Returns:
      Number of photographs to train on in the file.

    Raises:
      UserError: If a folder holds no photograph, or `megabytes` is too small.
    """
    kodak_files = [_lossless(file) for file in images.find_images(kodak)]
    room = megabytes * 1e6 - sum(map(len, kodak_files))
    paths = images.find_images(train)
    train_files: list[bytes] = []
    # Steps through the folder evenly, since the first files may all show one place.
    for index in np.argsort(np.arange(len(paths)) * 0.618034 % 1, kind="stable"):
        data = _shrunk(paths[index])
        if len(data) > room:
            break
        room -= len(data)
        train_files.append(data)
    if not train_files:
        raise UserError(
            f"{megabytes:g} MB of photographs must hold all of {kodak} and one of "
            f"{train}, but do not: give more --megabytes"
        )
    arrays = {}
    for kind, parts in zip(KINDS, (train_files, kodak_files), strict=True):
        arrays[kind] = np.frombuffer(b"".join(parts), np.uint8)
        arrays[f"{kind}_ends"] = np.cumsum([len(part) for part in parts])
    with files.atomic_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return len(train_files)


def read(path: Path) -> Photographs:
    """Reads the file and decodes all photographs.

    Raises:
      UserError: If the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(
            f"--photographs-file must be a file that --pack wrote, but {path} does not "
            "exist"
        )
    try:
        with np.load(path) as arrays:
            decoded = {
                kind: [
                    _decoded(part.tobytes())
                    for part in np.split(arrays[kind], arrays[f"{kind}_ends"][:-1])
                ]
                for kind in KINDS
            }
    except Exception as error:  # Damaged files raise errors of many types.
        raise UserError(f"{path} cannot be read ({error}): pack it again") from error
    return Photographs(**decoded)


def synthetic(*, side: int = 96) -> Photographs:
    """Returns blocks of random colors, to test the program without photographs."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, side // 8, side // 8, 3), np.uint8)
    blocks = np.kron(noise, np.ones((1, 8, 8, 1), np.uint8))
    return Photographs(train=list(blocks), kodak=list(blocks[:2]))


def on_device(
    train: Sequence[UInt8[np.ndarray, "h w 3"]], *, crop: int
) -> tuple[UInt8[Array, "n height width 3"], Int32[Array, "n 2"]]:
    """Places all photographs that hold a crop on canvases of one size.

    Returns:
      The canvases, and the size of each photograph.

    Raises:
      UserError: If no photograph is large enough.
    """
    large_enough = [image for image in train if min(image.shape[:2]) >= crop]
    if not large_enough:
        raise UserError(
            f"photographs to train on must hold crops of {crop} pixels, but all "
            f"{len(train)} are smaller"
        )
    sizes = np.array([image.shape[:2] for image in large_enough], np.int32)
    canvases = np.zeros((len(large_enough), *sizes.max(0), 3), np.uint8)
    for canvas, image in zip(canvases, large_enough, strict=True):
        canvas[: image.shape[0], : image.shape[1]] = image
    return jnp.asarray(canvases), jnp.asarray(sizes)


def crops(
    canvases: UInt8[Array, "n height width 3"],
    sizes: Int32[Array, "n 2"],
    seed: int | Array,
    step: int | Array,
    *,
    batch: int,
    crop: int,
) -> UInt8[Array, "b crop crop 3"]:
    """Draws random crops, half of them mirrored, that depend only on seed and step."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    which_key, place_key, flip_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, (batch,), 0, len(canvases))
    room = (sizes[which] - crop + 1).astype(jnp.float32)
    corner = (jax.random.uniform(place_key, (batch, 2)) * room).astype(jnp.int32)
    corner = jnp.minimum(corner, sizes[which] - crop)

    def cut(index, corner, flip):
        start = (index, corner[0], corner[1], 0)
        image = jax.lax.dynamic_slice(canvases, start, (1, crop, crop, 3))[0]
        return jnp.where(flip, image[:, ::-1], image)

    flips = jax.random.bernoulli(flip_key, shape=(batch,))
    return jax.vmap(cut)(which, corner, flips)


cut_crops = jax.jit(crops, static_argnames=("batch", "crop"))
"""`crops`, compiled."""


def _decoded(data: bytes) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB"))


def _lossless(path: Path) -> bytes:
    image, _ = images.read_image(path)
    return _saved(Image.fromarray(image), "webp", lossless=True, method=4)


def _shrunk(path: Path) -> bytes:
    image = Image.fromarray(images.read_image(path)[0])
    if max(image.size) <= LONGEST_SIDE and path.suffix.lower() in JPEG:
        return path.read_bytes()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return _saved(image, "jpeg", quality=QUALITY, subsampling=0)


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
