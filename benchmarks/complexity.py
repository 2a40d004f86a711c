"""Measures the time that each context model costs, as in the paper's table.

    python benchmarks/complexity.py KODAK [--images N] [--compressai PYTHON]

Encodes and decodes photographs with every context model on Cheng's transforms at 128
channels, and divides the seconds between transforms, networks of the context model and
coder (scale classes, rounding of means, range coder). Random weights are scaled so that
latents span several quantization steps. The autoregressive model also runs as a raster
scan, one latent after another, through the same networks and coder.

With the PYTHON of an environment with CompressAI (`peers/compressai_coding.py` lists
what to install), three of its models and the converted models of jaxcorr code the same
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
from jaxcorr.model import Model
from jaxcorr.transforms import cheng, minnen
from jaxcorr.transforms.base import latents_across

PEER = Path(__file__).parent / "peers" / "compressai_coding.py"
PEER_MODELS = ("mbt2018-mean", "mbt2018", "cheng2020-anchor")
ROUNDS = 2
"""Turns of jaxcorr and CompressAI; the shortest time of each image counts."""

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
"""Ali et al., NeurIPS 2023, table of complexity. The images are probably Kodak."""
LATENT_GAIN, SCALE = 10.0, 1.0
HYPER_BIAS = {
    cheng.Cheng: "transforms/hyper_synthesis/layers/8/bias",
    minnen.Minnen: "transforms/hyper_synthesis/layers/4/bias",
}
"""Bias of the scales, followed by the means, without a context model."""
CONTEXT_BIASES = (
    "context/network/last/bias",
    "/aggregation/2/bias",
    "/scale/third/bias",
)
"""Endings of the names of these biases in the context models."""

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
      number: How many of them to code, all with the size of the first.
      compressai: Python of an environment with CompressAI.
    """
    runtime.retain_freed_memory()  # As the commands of jaxcorr do.
    pairs = [
        (path, images.read_image(path)[0]) for path in images.find_images(directory)
    ]
    # Another size would be compiled while the clock runs.
    chosen = [pair for pair in pairs if pair[1].shape == pairs[0][1].shape][:number]
    paths, photographs = zip(*chosen, strict=True)
    print(f"{len(paths)} photographs, the first {paths[0].name}; seconds per image\n")
    print_contexts(photographs)
    print_coder(photographs)
    if compressai is not None:
        print_peers(compressai, paths, photographs)


def print_contexts(photographs: Sequence[Image]) -> None:
    """Prints the table of context models, and their ratios."""
    print("Cheng's transforms, 128 channels")
    names = ("encode", "decode", "transforms", "context", "coder", "passes")
    print(f"{'context model':20}" + "".join(f"{name:>12}" for name in names))
    rows = {}
    for name, context in CONTEXTS.items():
        model = random_model(cheng.SIZES["128"], context)
        rows[name] = report(name, model, photographs)
    model = random_model(cheng.SIZES["128"], CONTEXTS["autoregressive"])
    _, by_waves = coding.encode(model, photographs[0])
    # With this lag a row starts when the row above is complete: a raster scan.
    columns = latents_across(max(image.shape[1] for image in photographs))
    with mock.patch.object(autoregressive, "LAG", columns):
        scan = report("raster scan", model, photographs)
        _, by_scan = coding.encode(model, photographs[0])
    if not np.array_equal(by_waves.symbols, by_scan.symbols):
        raise RuntimeError("wavefronts and raster scan give different symbols")

    def sequential(seconds: Seconds) -> float:
        return seconds["context"] + seconds["coder"]

    def total(seconds: Seconds) -> float:
        return seconds["encode"] + seconds["decode"]

    waves = rows["autoregressive"]
    print(
        "\nraster scan / wavefronts, same symbols, context + coder: "
        f"{sequential(scan) / sequential(waves):.1f}x"
    )
    print("autoregressive / other context models, encode + decode:")
    for name in ("none", "checkerboard", "ChARM"):
        paper = PAPER_SECONDS["autoregressive"] / PAPER_SECONDS[name]
        print(
            f"  {name:16} wavefronts {total(waves) / total(rows[name]):5.2f}x, raster "
            f"scan {total(scan) / total(rows[name]):5.2f}x; in the paper {paper:.1f}x"
        )


def print_coder(photographs: Sequence[Image]) -> None:
    """Prints the time of the coder, from scales to bytes, at 320 channels."""
    print("\nCoder at 320 channels (Minnen's transforms), milliseconds per image")
    for name, context in CONTEXTS.items():
        model = random_model(minnen.SIZES["192-320"], context)
        seconds = measure(model, photographs)
        print(f"  {name:16}{1e3 * seconds['coder'] / 2:6.1f} each way")


def print_peers(
    python: str, paths: Sequence[Path], photographs: Sequence[Image]
) -> None:
    """Prints the times of jaxcorr and CompressAI with the same weights."""
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
        seconds = ", ".join(f"{e:6.3f} / {d:6.3f}" for e, d in both)
        ratios = " / ".join(f"{a / b:.2f}" for a, b in zip(*both, strict=True))
        print(f"  {name:18} jaxcorr, CompressAI: {seconds}; ratio {ratios}")


def random_model(transforms: TransformConfig, context: ContextConfig) -> Model:
    """Returns a random model whose latents span several quantization steps."""
    settings = CodecConfig(transforms=transforms, context=context)
    initial = jax.device_get(codec.initialize(settings, jax.random.key(0)))
    parameters = {name: np.array(array) for name, array in initial.items()}
    parameters["transforms/analysis/layers/6/kernel"] *= LATENT_GAIN
    biases = [name for name in parameters if name.endswith(CONTEXT_BIASES)]
    for name in biases or [HYPER_BIAS[type(transforms)]]:
        bias = parameters[name]
        # Biases of slices hold only scales, all others scales and then means.
        bias[: None if name.endswith("/scale/third/bias") else len(bias) // 2] = SCALE
    return saved_model.make_model(settings, parameters)


def report(name: str, model: Model, photographs: Sequence[Image]) -> Seconds:
    """Measures a model and prints its row."""
    seconds = measure(model, photographs)
    rows, columns = map(latents_across, photographs[0].shape[:2])
    context = model.shared_codec.context
    cells = "".join(f"{value:12.3f}" for value in seconds.values())
    print(f"{name:20}{cells}{context.num_passes(rows, columns):12}")
    return seconds


def measure(model: Model, photographs: Sequence[Image]) -> Seconds:
    """Returns mean seconds per image of encoding, decoding, and the parts of both."""
    warm_up(model, photographs[0])
    with stopwatch.timed() as spent:
        times = timings(model, photographs)
    parts = {part: seconds / len(photographs) for part, seconds in spent.items()}
    return {name: float(np.mean(values)) for name, values in times.items()} | parts


def warm_up(model: Model, photograph: Image) -> None:
    """Compiles the programs and builds the cached tables."""
    coding.decode(model, coding.encode(model, photograph)[0])


def timings(model: Model, photographs: Sequence[Image]) -> Timings:
    """Returns the seconds to encode and to decode each image."""
    times: Timings = {"encode": [], "decode": []}
    for image in photographs:
        start = time.perf_counter()
        container, _ = coding.encode(model, image)
        middle = time.perf_counter()
        coding.decode(model, container)
        times["encode"].append(middle - start)
        times["decode"].append(time.perf_counter() - middle)
    return times


def least(rounds: Sequence[Timings]) -> list[float]:
    """Returns the mean over images of the shortest time of all rounds."""
    return [
        float(np.min([times[name] for times in rounds], axis=0).mean())
        for name in ("encode", "decode")
    ]


def run_peer(python: str, *arguments: str) -> str:
    """Runs `peers/compressai_coding.py` and returns its output.

    Raises:
      UserError: If the process fails.
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
