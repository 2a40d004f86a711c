"""The paper's complexity table, measured here: what each context model costs.

    python benchmarks/complexity.py KODAK [--images N] [--compressai PYTHON]

Encodes and decodes photographs with every context model on Cheng's transforms at 128
channels, and splits the seconds into transforms, networks of the context model and
coder (scale classes, rounding of means, range coder). Weights are random, scaled until
latents are some steps wide. The autoregressive model also runs as a raster scan, a
latent after another, through the same networks and coder.

PYTHON is that of an environment with CompressAI (`peers/compressai_coding.py` says what
to install): then three of its models, and ours with the same weights, code the same
photographs in turns.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from unittest import mock

import jax
import numpy as np
import stopwatch
import tyro

from jaxcorr import codec, images, runtime, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.codec import CodecConfig, ContextConfig, TransformConfig
from jaxcorr.context import autoregressive, channelwise
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai as interop
from jaxcorr.saved_model import Model
from jaxcorr.transforms import cheng, minnen
from jaxcorr.transforms.base import latents_across

PEER = Path(__file__).parent / "peers" / "compressai_coding.py"
PEER_MODELS = ("mbt2018-mean", "mbt2018", "cheng2020-anchor")
ROUNDS = 2
"""Turns of ours and theirs; the least time of each image counts."""

CONTEXTS: dict[str, ContextConfig] = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "ChARM": channelwise.LIGHT,
    "autoregressive": Autoregressive(),
}
PAPER_SECONDS = {
    "none": 4.66,
    "checkerboard": 5.33,
    "ChARM": 8.14,
    "autoregressive": 251.65,
}
"""Ali et al., NeurIPS 2023, table of complexity; for what is not said, likely Kodak."""
LATENT_GAIN, SCALE = 10.0, 1.0
HYPER_BIAS = {
    cheng.Cheng: "transforms/hyper_synthesis/layers/8/bias",
    minnen.Minnen: "transforms/hyper_synthesis/layers/4/bias",
}
"""Where scales come from without a context model, and then means."""
CONTEXT_BIASES = (
    "context/network/last/bias",
    "/aggregation/2/bias",
    "/scale/third/bias",
)
"""Where they come from with one, as endings of names."""

Image = np.ndarray
Seconds = dict[str, float]
Timings = dict[str, list[float]]


def main(
    directory: tyro.conf.Positional[Path],
    number: Annotated[int, tyro.conf.arg(name="images")] = 4,
    compressai: str | None = None,
) -> None:
    """Prints the tables.

    Args:
      directory: Folder of photographs.
      number: How many of them to code, from the first, all of its size.
      compressai: Python of an environment with CompressAI.
    """
    runtime.retain_freed_memory()  # As the commands do.
    found = [
        (path, images.read_image(path)[0]) for path in images.find_images(directory)
    ]
    # Of one size: the programs of another would be compiled while the clock runs.
    same = [pair for pair in found if pair[1].shape == found[0][1].shape][:number]
    paths, photographs = zip(*same, strict=True)
    print(f"{len(paths)} photographs, the first {paths[0].name}; seconds an image\n")
    print_contexts(photographs)
    print_coder(photographs)
    if compressai is not None:
        print_peers(compressai, paths, photographs)


def print_contexts(photographs: Sequence[Image]) -> None:
    """Prints the table of context models, and their ratios."""
    print("Cheng's transforms, 128 channels")
    names = ("encode", "decode", "transforms", "context", "coder", "passes")
    print(f"{'context model':20}" + "".join(f"{name:>12}" for name in names))
    found = {}
    for name, context in CONTEXTS.items():
        model = random_model(cheng.SIZES["128"], context)
        found[name] = report(name, model, photographs)
    model = random_model(cheng.SIZES["128"], CONTEXTS["autoregressive"])
    _, by_waves = coding.encode(model, photographs[0])
    # Wavefronts of rows that begin where the one above ends hold a latent each.
    columns = latents_across(max(image.shape[1] for image in photographs))
    with mock.patch.object(autoregressive, "LAG", columns):
        scan = report("raster scan", model, photographs)
        _, by_scan = coding.encode(model, photographs[0])
    if not np.array_equal(by_waves.symbols, by_scan.symbols):
        raise RuntimeError("wavefronts and raster scan give other symbols")

    waves = found["autoregressive"]
    own = lambda seconds: seconds["context"] + seconds["coder"]
    total = lambda seconds: seconds["encode"] + seconds["decode"]
    print(
        "\nraster scan / wavefronts, same symbols, context + coder: "
        f"{own(scan) / own(waves):.1f}x"
    )
    print("autoregressive over the others, encode + decode:")
    for name in ("none", "checkerboard", "ChARM"):
        paper = PAPER_SECONDS["autoregressive"] / PAPER_SECONDS[name]
        print(
            f"  {name:16} wavefronts {total(waves) / total(found[name]):5.2f}x, raster "
            f"scan {total(scan) / total(found[name]):5.2f}x; in the paper {paper:.1f}x"
        )


def print_coder(photographs: Sequence[Image]) -> None:
    """Prints what lies between scales and bytes at 320 channels."""
    print("\nCoder at 320 channels (Minnen's transforms), milliseconds an image")
    for name, context in CONTEXTS.items():
        model = random_model(minnen.SIZES["192-320"], context)
        seconds = measure(model, photographs)
        print(f"  {name:16}{1e3 * seconds['coder'] / 2:6.1f} each way")


def print_peers(
    python: str, paths: Sequence[Path], photographs: Sequence[Image]
) -> None:
    """Prints ours beside CompressAI's, with its weights."""
    print("\nagainst CompressAI, same weights, in turns: encode / decode, ratio")
    for name in PEER_MODELS:
        with tempfile.TemporaryDirectory() as folder:
            weights = f"{folder}/weights.npz"
            run_peer(python, "weights", name, weights)
            with np.load(weights) as state:
                model = interop.convert(dict(state), name)
            warm_up(model, photographs[0])
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours.append(timings(model, photographs))
                output = run_peer(python, "time", name, weights, *map(str, paths))
                theirs.append(json.loads(output))
        both = least(ours), least(theirs)
        said = ", ".join(f"{e:6.3f} / {d:6.3f}" for e, d in both)
        ratios = " / ".join(f"{a / b:.2f}" for a, b in zip(*both, strict=True))
        print(f"  {name:18} ours, CompressAI: {said}; ratio {ratios}")


def random_model(transforms: TransformConfig, context: ContextConfig) -> Model:
    """A model with random weights whose latents are some steps wide."""
    settings = CodecConfig(transforms=transforms, context=context)
    drawn = jax.device_get(codec.initialize(settings, jax.random.key(0)))
    parameters = {name: np.array(array) for name, array in drawn.items()}
    parameters["transforms/analysis/layers/6/kernel"] *= LATENT_GAIN
    biases = [name for name in parameters if name.endswith(CONTEXT_BIASES)]
    for name in biases or [HYPER_BIAS[type(transforms)]]:
        bias = parameters[name]
        # Those of slices are of scales alone, all others of scales and then of means.
        bias[: None if name.endswith("/scale/third/bias") else len(bias) // 2] = SCALE
    return saved_model.make_model(settings, parameters)


def report(name: str, model: Model, photographs: Sequence[Image]) -> Seconds:
    """Measures a model and prints its row."""
    seconds = measure(model, photographs)
    rows, columns = map(latents_across, photographs[0].shape[:2])
    context = model.codec.context
    cells = "".join(f"{value:12.3f}" for value in seconds.values())
    print(f"{name:20}{cells}{context.num_passes(rows, columns):12}")
    return seconds


def measure(model: Model, photographs: Sequence[Image]) -> Seconds:
    """Mean seconds an image: of encoding, of decoding, and of the parts of both."""
    warm_up(model, photographs[0])
    with stopwatch.timed() as spent:
        found = timings(model, photographs)
    parts = {part: seconds / len(photographs) for part, seconds in spent.items()}
    return {name: float(np.mean(times)) for name, times in found.items()} | parts


def warm_up(model: Model, photograph: Image) -> None:
    """Compiles, and builds what is cached."""
    coding.decode(model, coding.encode(model, photograph)[0])


def timings(model: Model, photographs: Sequence[Image]) -> Timings:
    """Seconds to encode and to decode each image."""
    found: Timings = {"encode": [], "decode": []}
    for image in photographs:
        start = time.perf_counter()
        container, _ = coding.encode(model, image)
        middle = time.perf_counter()
        coding.decode(model, container)
        found["encode"].append(middle - start)
        found["decode"].append(time.perf_counter() - middle)
    return found


def least(rounds: Sequence[Timings]) -> list[float]:
    """Mean over images of the least time of the rounds, to encode and to decode."""
    return [
        float(np.min([each[name] for each in rounds], axis=0).mean())
        for name in ("encode", "decode")
    ]


def run_peer(python: str, *arguments: str) -> str:
    """What CompressAI's side prints.

    Raises:
      UserError: If it fails.
    """
    done = subprocess.run(
        [python, PEER, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"{python}: {lines[-1]}")
    return done.stdout


if __name__ == "__main__":
    with runtime.exit_on_user_error():
        tyro.cli(main)
