"""Runs exports as their READMEs describe, without jaxcorr.

Reads the inputs `FOLDER/*/given.npz`, runs the export `export` beside each, and writes
its outputs to `found.npz` there.

python reload_export.py FOLDER
"""

import contextlib
import itertools
import json
import re
import sys
from pathlib import Path

import jax
import jax.experimental
import numpy as np

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:  # Before jax 0.8.
    enable_x64 = jax.experimental.enable_x64  # pyright: ignore
TAPS = [
    (row, column)
    for row, column in itertools.product(range(5), range(5))
    if (row, column) < (2, 2)
]


def main(folder):
    for given in sorted(Path(folder).glob("*/given.npz")):
        with contextlib.chdir(given.parent / "export"):
            blocks = re.findall(
                r"```python\n(.*?)```", Path("README.md").read_text(), re.S
            )
            readme = {}
            for block in blocks:
                exec(block, readme)
            outputs = run(readme, **np.load(given))
        np.savez(given.with_name("found.npz"), **outputs)
    assert not {"jaxcorr", "flax"} & set(sys.modules)


def run(readme, photograph, side_symbols=None, symbols=None, offset=0):
    """Returns reconstruction and bits, and with the symbols of a file its latents."""
    reconstruction, bits = readme["evaluate"](photograph)
    outputs = {"reconstruction": reconstruction, "bits": bits}
    if symbols is not None:
        with enable_x64(True):
            size = photograph.shape[:2]
            outputs |= decode(readme, side_symbols, symbols, size, int(offset))
    return outputs


def decode(readme, side_symbols, symbols, size, offset):
    """Decodes pass by pass; returns means, scales, latents and bits by the tables."""

    def padded(grid, stride):
        sides = [-(-pixels // 64) * (64 // stride) for pixels in size]
        margins = [(0, side - n) for side, n in zip(sides, grid.shape[:2], strict=True)]
        return np.pad(grid, [*margins, (0, 0)])[None]

    def call(name, *arrays):
        return jax.tree.map(np.asarray, functions[name](*arrays))

    names = [path.stem for path in Path("float64").iterdir()]
    functions = {name: readme["load"](f"float64/{name}") for name in names}
    median = readme["tables"]["median"].astype(np.float64)
    features = call("hyper_synthesis", padded(side_symbols + median, 64))
    latent_hat = padded(np.zeros(symbols.shape), 16)
    predicted = {name: np.zeros(symbols.shape) for name in ("mean", "scale")}
    passes = json.loads(Path("config.json").read_text())["export"]["passes"]
    inputs = (call, features, latent_hat, symbols.shape)
    predictions = by_passes(*inputs, passes) if passes else by_wavefronts(*inputs)
    for at, mean, scale, refine in predictions:
        mean = readme["round_means"](mean[at], offset)
        quantized = symbols[at] + mean
        if refine is not None:
            quantized = readme["round_means"](refine(quantized), offset)
        predicted["mean"][at], predicted["scale"][at] = mean, scale[at]
        latent_hat[0][at] = quantized
    rows, columns, _ = symbols.shape
    classes = readme["classes"](predicted["scale"], offset)
    channels = np.broadcast_to(np.arange(median.size), side_symbols.shape)
    return predicted | {
        "latent_hat": latent_hat[0, :rows, :columns],
        "y_bits": bits_by_tables(readme, symbols, classes, "latent"),
        "z_bits": bits_by_tables(readme, side_symbols, channels, "side"),
    }


def bits_by_tables(readme, symbols, tables_of, kind):
    return -np.log2(readme["probabilities"](symbols, tables_of, kind)).sum()


def by_passes(call, features, latent_hat, shape, passes):
    rows, columns = shape[:2]
    parity = np.add.outer(np.arange(rows), np.arange(columns)) % 2
    for index, described in enumerate(passes):
        channels = slice(*described["channels"])
        mean, scale = (x[0] for x in call(f"predict_{index}", features, latent_hat))
        places = np.s_[:rows, :columns]
        if described["parity"] is not None:
            places = np.nonzero(parity == described["parity"])

        def refine(quantized, index=index, like=mean, places=places):
            canvas = np.zeros_like(like)
            canvas[places] = quantized
            refined = call(f"refine_{index}", features, latent_hat, canvas[None])
            return refined[0][places]

        means, scales = (np.zeros(latent_hat.shape[1:]) for _ in range(2))
        means[..., channels], scales[..., channels] = mean, scale
        refines = Path(f"float64/refine_{index}.jaxexport").exists()
        yield (*places, channels), means, scales, refine if refines else None


def by_wavefronts(call, features, latent_hat, shape):
    down, right = np.array(TAPS).T
    for index in range(shape[1] + 3 * (shape[0] - 1)):
        rows = np.arange(shape[0])
        rows = rows[(index - 3 * rows >= 0) & (index - 3 * rows < shape[1])]
        at = rows, index - 3 * rows
        bordered = np.pad(latent_hat[0], [(2, 2), (2, 2), (0, 0)])
        seen = bordered[at[0][:, None] + down, at[1][:, None] + right]
        means, scales = (np.zeros(latent_hat.shape[1:]) for _ in range(2))
        means[at], scales[at] = call("predict", features[0][at], seen)
        yield at, means, scales, None


if __name__ == "__main__":
    main(*sys.argv[1:])
