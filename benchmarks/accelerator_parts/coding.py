"""Measures how fast photographs are encoded to files and decoded."""

import concurrent.futures
import contextvars
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import stopwatch
from complexity import random_model

from accelerator_parts import setup
from accelerator_parts.photographs import Photographs
from accelerator_parts.results import Figures, Results
from accelerator_parts.sizes import Sizes
from jaxcorr.bitstream import shared_batches

MODELS = ("cheng-128", "minnen-192-320")
"""The first codec has every context model in turn, the second has none."""
THREADS = 4
SEVERAL = 2 * THREADS
"""Number of photographs that are coded one after another, and in threads."""
TIMED_FUNCTIONS = stopwatch.TIMED_FUNCTIONS | {"transfers": [(np, "asarray")]}
"""Functions to time. Transfers are copies to the host.

Time to copy to the device counts to the networks that wait for the arrays; `transfers`
measures it separately."""


def run(results: Results, sizes: Sizes, *, photographs: Photographs, **_: Any) -> None:
    """Measures single photographs with all context models, then several in threads."""
    images = same_shape(photographs.kodak)
    with_context, plain = (sizes.models[name] for name in MODELS)
    models = {
        f"{MODELS[1]}, none": plain,
        **{
            f"{MODELS[0]}, {name}": setup.codec_with(with_context, context)
            for name, context in sizes.contexts.items()
        },
    }
    for name, settings in models.items():
        results.measure(
            f"{name}, single",
            functools.partial(single, settings, images[: sizes.photographs]),
        )
        results.measure(
            f"{name}, several", functools.partial(several, settings, images[:SEVERAL])
        )
    results.measure("transfers", functools.partial(transfers, plain, images[0]))


def same_shape(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the images with the shape of the first; another shape would compile."""
    return [image for image in images if image.shape == images[0].shape]


def single(settings, images: Sequence[np.ndarray]) -> Figures:
    """Measures images per second one after another, and the seconds of each part."""
    model = _model(settings)
    setup.decode(model, setup.encode(model, images[0])[0])
    files, seconds, spent = [], {}, {}
    for name in ("encode", "decode"):
        with stopwatch.timed(TIMED_FUNCTIONS) as parts:
            start = time.perf_counter()
            if name == "encode":
                files = [setup.encode(model, image)[0] for image in images]
            else:
                for file in files:
                    setup.decode(model, file)
            seconds[name] = (time.perf_counter() - start) / len(images)
        spent[name] = {part: taken / len(images) for part, taken in parts.items()}
        spent[name]["rest"] = seconds[name] - sum(spent[name].values())
    return {
        "images": len(images),
        "encode_images_per_second": 1 / seconds["encode"],
        "decode_images_per_second": 1 / seconds["decode"],
        "encode_seconds": spent["encode"],
        "decode_seconds": spent["decode"],
    }


def several(settings, images: Sequence[np.ndarray]) -> Figures:
    """Measures images per second one after another, in threads, and in their batches.

    With threads, the range coder of one photograph runs on the host while the networks
    of another run on the device. With batches, threads also share runs of analysis and
    synthesis, as `jaxcorr compress` does on an accelerator.
    """
    model = _model(settings)

    def encode(image: np.ndarray) -> bytes:
        return setup.encode(model, image)[0]

    def decode(file: bytes) -> np.ndarray:
        return setup.decode(model, file)[0]

    files = [encode(images[0])]
    decode(files[0])
    figures: Figures = {"images": len(images), "threads": THREADS}
    modes = {
        "in turn": (1, 1),
        "in threads": (THREADS, 1),
        "in batches": (THREADS,) * 2,
    }
    for name, (threads, batch) in modes.items():
        run_all = functools.partial(in_threads, threads, batch)
        if batch > 1:
            run_all(decode, run_all(encode, images))  # Compiles programs for batches.
        start = time.perf_counter()
        files = run_all(encode, images)
        middle = time.perf_counter()
        run_all(decode, files)
        figures[f"encode {name}"] = len(images) / (middle - start)
        figures[f"decode {name}"] = len(images) / (time.perf_counter() - middle)
    return figures


def in_threads(
    threads: int, batch: int, function: Callable[[Any], Any], arguments: Sequence[Any]
) -> list[Any]:
    """Calls a function for each argument in threads, which share batches of a size."""
    with (
        shared_batches.sharing(batch),
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        futures = [
            pool.submit(contextvars.copy_context().run, function, argument)
            for argument in arguments
        ]
        return [future.result() for future in futures]


def transfers(settings, image: np.ndarray) -> Figures:
    """Measures seconds to copy an image and its latents to the device and back."""
    model = _model(settings)
    _, latents = setup.encode(model, image)
    arrays = {
        "image": image[None].astype(np.float32),
        "latents": latents["latent_hat"].astype(np.float32),
    }
    figures: Figures = {}
    for name, array in arrays.items():
        to_device, to_host = [], []
        for _ in range(5):
            start = time.perf_counter()
            placed = jax.block_until_ready(jax.device_put(array))
            middle = time.perf_counter()
            np.asarray(placed + 0)
            to_device.append(middle - start)
            to_host.append(time.perf_counter() - middle)
        figures[name] = {
            "megabytes": array.nbytes / 1e6,
            "to_device": min(to_device),
            "to_host": min(to_host),
        }
    return figures


@functools.lru_cache(maxsize=1)
def _model(settings):
    """Returns a random model, cached because the next figure may use it too."""
    return random_model(settings.transforms, settings.context)
