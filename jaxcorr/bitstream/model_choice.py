"""Encodes an image with the one of several models whose file meets a target best."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import HEADER_BYTES, Arithmetic
from jaxcorr.bitstream.rate_target import DIGITS, UNITS, RatePoint, RateTarget
from jaxcorr.bitstream.sections import pack_model_name, pack_sections
from jaxcorr.errors import UserError
from jaxcorr.images import PictureRows, UnreadableImage
from jaxcorr.metrics.image_quality import psnr_db
from jaxcorr.model import Model
from jaxcorr.model_set import ModelSet, model_name, short_name
from jaxcorr.run_directory import SeveralModelsError

SAMPLE_SIDE = 1536
"""Longest side, in pixels, of the part of an image that estimates are made of."""
TOLERANCE_DB = 0.1
"""Error of an estimate that a file may correct: 0.1 dB of PSNR, or 2.3 % of the bytes.
On photographs estimates are much closer."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CodedFile:
    """The file of an image.

    Attributes:
      model: Model that coded the image.
      data: Bytes of the file.
      point: Size of the file, and its quality if the target limits it.
    """

    model: Model
    data: bytes
    point: RatePoint

    def describe(self, target: RateTarget | None) -> str:
        """Returns the size, and for a target the model and how close the file came."""
        facts = {
            "size": f"{len(self.data)} bytes",
            "bpp": f"{self.point.bpp:.4f} bpp",
        }
        if target is not None:
            facts.pop(target.kind, None)
            reached = target.format(target.measure(self.point))
            chosen = [model_name(self.model), f"{reached} of {target}"]
            return ", ".join([*chosen, *facts.values()])
        return ", ".join(facts.values())


def read_models(models: ModelSet, target: RateTarget | None) -> list[Model]:
    """Returns the models from which a target chooses; without a target, only one.

    Raises:
      UserError: If a model cannot be read, or if several are given without a target.
    """
    if target is not None:
        return models.read()
    try:
        return [models.only()]
    except SeveralModelsError as error:
        raise UserError(
            f"{error}, or give a target (bpp, psnr or size) that chooses for each image"
        ) from error


def encode(
    models: Sequence[Model],
    image: UInt8[np.ndarray, "h w 3"] | PictureRows,
    target: RateTarget | None = None,
    *,
    arithmetic: Arithmetic = Arithmetic.PORTABLE,
    memory: int | None = None,
    sections: Callable[[], Mapping[int, bytes]] = dict,
    with_model_name: bool = True,
    name: str = "the image",
) -> CodedFile:
    """Encodes an image with the best of several models whose file meets a target.

    Args:
      models: The models; without a target, only one.
      image: 8-bit RGB, or rows, which are all kept if there is a target.
      target: The target.
      arithmetic: Arithmetic of the networks, as in `coding.encode`.
      memory: Memory that coding may take, in bytes, as in `coding.encode`.
      sections: Returns the side sections of the file, which count for its size, once
        the image has been read.
      with_model_name: Whether a side section holds the name of the model, if it has a
        path. It counts for the size, too.
      name: Name of the image, for messages.

    Raises:
      UserError: If no file meets the target, or for the reasons of `coding.encode`.
    """

    def sections_with(model: Model) -> dict[int, bytes]:
        called = model.path if with_model_name else None
        named = pack_model_name(short_name(called) if called else None)
        return dict(sections()) | named

    def encode_with(model: Model, image: Any) -> CodedFile:
        try:
            container, latents = coding.encode(
                model,
                image,
                arithmetic=arithmetic,
                memory=memory,
                keep_predictions=False,
            )
        except UnreadableImage:
            raise
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        container = dataclasses.replace(container, sections=sections_with(model))
        data, quality = container.to_bytes(), math.nan
        size = container.height, container.width
        if target is not None and not target.limits_size:
            decoded = coding.reconstruct(model, latents, *size, memory=memory)
            quality = psnr_db(image, decoded)
        point = _rate_point(size, float(len(data)), quality)
        return CodedFile(model=model, data=data, point=point)

    if target is None:
        (model,) = models
        return encode_with(model, image)
    pixels = image.whole().rgb if isinstance(image, PictureRows) else image
    if len(models) > 1:
        estimates = [
            _estimate(
                model, pixels, HEADER_BYTES + len(pack_sections(sections_with(model)))
            )
            for model in models
        ]
        encode_pixels = functools.partial(encode_with, image=pixels)
        return _choose(models, estimates, target, encode_pixels, name)
    (model,) = models
    file = encode_with(model, pixels)
    if target.excess_db(file.point) > 0:
        raise _impossible(target, models, [file.point], name)
    return file


def _choose(
    models: Sequence[Model],
    estimates: Sequence[RatePoint],
    target: RateTarget,
    encode_with: Callable[[Model], CodedFile],
    name: str,
) -> CodedFile:
    """Returns the best file that meets a target, after as few encodings as possible.

    Estimates put the models in order, the best first. From there on, models are tried
    until a file meets the target. Models whose estimate misses it by more than
    `TOLERANCE_DB`, after correction by the error of the last estimate, are skipped.
    """
    excesses = [target.excess_db(estimate) for estimate in estimates]
    rivals = sorted(range(len(models)), key=lambda i: target.cost(estimates[i]))
    nearest = min(rivals, key=lambda i: excesses[i])
    files: dict[int, CodedFile] = {}
    best, error = None, 0.0
    while True:
        likely = [i for i in rivals if excesses[i] + error <= TOLERANCE_DB]
        if best is None:
            likely.append(nearest)  # No target is refused by an estimate alone.
        untried = [i for i in likely if i not in files]
        if not untried:
            break
        index = untried[0]
        file = files[index] = encode_with(models[index])
        excess = target.excess_db(file.point)
        error = excess - excesses[index]
        if excess <= 0:
            best, rivals = file, rivals[: rivals.index(index)]
    if best is None:
        points = [files[i].point if i in files else estimates[i] for i in rivals]
        raise _impossible(target, models, points, name)
    return best


def _estimate(
    model: Model, image: UInt8[np.ndarray, "h w 3"], overhead: int
) -> RatePoint:
    """Returns size and quality by the continuous entropy model, in float32.

    Those of large images are estimated from a part in the middle.

    Args:
      model: The model.
      image: 8-bit RGB.
      overhead: Bytes of the file in addition to the coded latents.
    """
    pixels = image.shape[0] * image.shape[1]
    above, before = (max(side - SAMPLE_SIDE, 0) // 2 for side in image.shape[:2])
    image = image[above:, before:][:SAMPLE_SIDE, :SAMPLE_SIDE]
    output = model.analyze(image)
    bits = float(np.sum(output.latent_bits)) + float(np.sum(output.side_bits))
    decoded = np.rint(np.clip(np.asarray(output.reconstruction), 0, 1) * 255)
    quality = psnr_db(image, decoded.astype(np.uint8))
    size = overhead + bits / 8 * pixels / (image.shape[0] * image.shape[1])
    return RatePoint(bytes=size, bpp=8 * size / pixels, psnr_db=quality)


def _rate_point(size: tuple[int, int], count: float, quality: float) -> RatePoint:
    return RatePoint(bytes=count, bpp=8 * count / (size[0] * size[1]), psnr_db=quality)


def _impossible(
    target: RateTarget, models: Sequence[Model], points: Sequence[RatePoint], name: str
) -> UserError:
    """Returns the error about a target that no model meets, with what they reach."""
    if target.limits_size:
        limit, verb, change = f"in at most {target}", "take", "raise"
    else:
        limit, verb, change = f"with at least {target}", "have", "lower"
    # Rounded away from the target, so that the nearest value is a possible target.
    margin = 0.499 / 10 ** DIGITS[target.kind] * (1 if target.limits_size else -1)
    values = [target.measure(point) + margin for point in points]
    low, high = target.format(min(values)), target.format(max(values))
    found = low if low == high else f"from about {low} to {high}"
    if len(models) > 1:
        subject, others = f"the {len(models)} models", "other models"
    else:
        subject, others = model_name(models[0]), "several models, such as a sweep"
    return UserError(
        f"no model codes {name} {limit}: files of {subject} {verb} {found} "
        f"{UNITS[target.kind]}; {change} {target.kind}, or give {others}"
    )
