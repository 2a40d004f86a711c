"""Writes `tensorflow_compression.npz`: what entropy models of TFC give.

    pip install tensorflow-compression==2.14.1
    python tests/references/make_tensorflow_compression.py [FILE.npz]

TFC is TensorFlow Compression; this version needs Python 3.11 or earlier. `versions` in
the file says with what it was made. Parameters and latents are random; those of the
priors lie away from their start, in channels of very different widths.
"""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # Not among ours.
import tensorflow_compression as tfc  # pyright: ignore[reportMissingImports]  # Nor it.

PACKAGES = "tensorflow", "tensorflow-compression", "tensorflow-probability", "numpy"
FILTERS = {
    "default": {},
    "codex": {"num_filters": (3, 3, 3)},
    "compressai": {"num_filters": (3, 3, 3, 3)},
    "uneven": {"num_filters": (2, 5)},
    "logistic": {"num_filters": ()},
}
"""Options of priors: those of TFC, of CoDeX, of CompressAI, and others."""
CHANNELS = 5
TAIL_MASSES = (2**-8, 1e-6)

SCALE_BOUND, SCALE_MAXIMUM, SCALES = 0.11, 256.0, 64
MEANS = 9
"""Means of the model that is indexed by a scale and a mean."""
CODED_SCALES = (0, 10, 20, 30, 40, 50, 63)
CODED = 1500
"""Symbols that are coded with the table of each of these scales."""


def scale_of(index: Any) -> tf.Tensor:
    """Scale of an index, whole or not, as in TFC's models bmshj2018 and ms2020."""
    offset = tf.math.log(SCALE_BOUND)
    factor = (tf.math.log(SCALE_MAXIMUM) - offset) / (SCALES - 1.0)
    return tf.math.exp(offset + factor * index)


def bits(log_probability: Any) -> np.ndarray:
    """Information content."""
    return -log_probability.numpy() / np.log(2.0)


def made_prior(rng: np.random.Generator, options: dict) -> tfc.NoisyDeepFactorized:
    """A prior with narrow and wide channels and open gates."""
    prior = tfc.NoisyDeepFactorized(batch_shape=(CHANNELS,), **options)
    for variable in prior.variables:
        kind = variable.name.split("/")[-1]
        deviation = 0.5 if kind.startswith("matrix") else 1.0
        change = rng.normal(scale=deviation, size=variable.shape)
        if kind.startswith("matrix_0"):
            change += np.linspace(6, 0, CHANNELS)[:, None, None]
        # Not on top of the initial biases: those are random.
        start = 0.0 if kind.startswith("bias") else variable.numpy()
        variable.assign((start + change).astype(np.float32))
    return prior


def factorized(name: str, seed: int) -> dict[str, np.ndarray]:
    """Bits, offsets, tails and tables of a `NoisyDeepFactorized`."""
    rng = np.random.default_rng(seed)
    prior = made_prior(rng, FILTERS[name])

    @tf.function  # Searches for tails take thousands of steps.
    def tails() -> tuple[tf.Tensor, tf.Tensor]:
        lower = tf.stack([tfc.lower_tail(prior, mass) for mass in TAIL_MASSES])
        return lower, tf.stack([tfc.upper_tail(prior, mass) for mass in TAIL_MASSES])

    @tf.function
    def modeled(given: tf.Tensor) -> dict[str, tf.Tensor]:
        model = tfc.ContinuousBatchedEntropyModel(
            prior, coding_rank=2, compression=True, stateless=True
        )
        rounded, rounded_bits = model(given, training=False)
        noisy, noisy_bits = model(given, training=True)
        return {
            "rounded": rounded,
            "rounded_bits": rounded_bits,
            "noisy": noisy,
            "noisy_bits": noisy_bits,
            "offset": model.quantization_offset,
            "cdf": model.cdf,
            "cdf_offset": model.cdf_offset,
        }

    lower, upper = (each.numpy() for each in tails())
    middle, half = (lower + upper)[0] / 2, (upper - lower)[0] / 2
    near = middle + half * rng.uniform(-1, 1, size=(60, CHANNELS))
    far = middle + half * np.array([-30, -10, -3, 3, 10, 30])[:, None]
    values = np.concatenate([near, far]).astype(np.float32)
    given = near.astype(np.float32).reshape(3, 20, CHANNELS)
    found = {each: array.numpy() for each, array in modeled(given).items()}
    found |= {"values": values, "bits": bits(prior.log_prob(values)), "given": given}
    found |= {"lower_tails": lower, "upper_tails": upper}
    return found | {f"variables/{v.name}": v.numpy() for v in prior.variables}


def normal(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Bits of a `NoisyNormal` and their gradients, from narrow to wide."""
    scale = np.array([0.02, 0.11, 0.3, 1.0, 5.0, 40.0, 256.0, 2000.0])
    reach = np.concatenate([rng.uniform(-4, 4, 24), [-30, -10, 10, 30]])
    steps = np.concatenate([np.arange(-3.0, 4.0), rng.uniform(-2, 2, 9)])
    residual = np.concatenate(
        [scale[:, None] * reach, np.tile(steps, (len(scale), 1))], axis=1
    )
    residual = tf.constant(residual, tf.float32)
    scale = tf.constant(scale[:, None], tf.float32) + tf.zeros_like(residual)
    with tf.GradientTape() as tape:
        tape.watch([residual, scale])
        log_probability = tfc.NoisyNormal(loc=0.0, scale=scale).log_prob(residual)
    of_residual, of_scale = tape.gradient(log_probability, [residual, scale])
    return {
        "residual": residual.numpy(),
        "scale": scale.numpy(),
        "bits": bits(log_probability),
        "of_residual": bits(of_residual),
        "of_scale": bits(of_scale),
    }


def location_scale(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Bits of latents with means and indexes of scales, rounded and noisy; tables."""
    model = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal, SCALES, scale_of, coding_rank=1, compression=True
    )
    index = rng.uniform(-3, SCALES + 2, size=(6, 40)).astype(np.float32)
    mean = rng.normal(scale=3, size=index.shape).astype(np.float32)
    scale = np.geomspace(SCALE_BOUND, SCALE_MAXIMUM, SCALES)
    scale = scale[index.clip(0, SCALES - 1).astype(int)]
    latent = (mean + scale * rng.normal(size=index.shape)).astype(np.float32)
    rounded, rounded_bits = model(latent, index, loc=mean, training=False)
    noisy, noisy_bits = model(latent, index, loc=mean, training=True)
    return {
        "scales": scale_of(tf.range(float(SCALES))).numpy(),
        "latent": latent,
        "index": index,
        "mean": mean,
        "rounded": rounded.numpy(),
        "rounded_bits": rounded_bits.numpy(),
        "noisy": noisy.numpy(),
        "noisy_bits": noisy_bits.numpy(),
        "cdf": model.cdf.numpy(),
        "cdf_offset": model.cdf_offset.numpy(),
        **coded(rng, model),
    }


def coded(
    rng: np.random.Generator, model: tfc.LocationScaleIndexedEntropyModel
) -> dict[str, np.ndarray]:
    """Lengths of range coded strings, and which table codes an index between two."""
    scales = scale_of(tf.constant(CODED_SCALES, tf.float32)).numpy()
    symbols = np.round(scales[:, None] * rng.normal(size=(len(scales), CODED)))

    def of_index(x: tf.Tensor, index: float) -> np.ndarray:
        return model.compress(x, tf.fill(x.shape, float(index))).numpy()

    lengths = [
        len(of_index(row, index))
        for row, index in zip(symbols.astype(np.float32), CODED_SCALES, strict=True)
    ]
    # Wide enough for the strings of any two tables to differ.
    probe = tf.constant(np.round(8 * rng.normal(size=400)), tf.float32)
    strings = [of_index(probe, index) for index in range(SCALES)]
    between = np.array([20.0, 20.49, 20.51, 20.99, 21.0, 45.4, 45.6, 62.9, 63.0, 80.0])
    tables = [strings.index(of_index(probe, index)) for index in between]
    return {
        "coded_scales": np.array(CODED_SCALES),
        "coded_symbols": symbols.astype(np.int16),
        "coded_lengths": np.array(lengths),
        "probed_indexes": between,
        "probed_tables": np.array(tables),
    }


def indexed(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Bits of latents whose scale and mean both are indexes."""
    model = tfc.ContinuousIndexedEntropyModel(
        tfc.NoisyNormal,
        index_ranges=(SCALES, MEANS),
        parameter_fns={
            "loc": lambda i: (i[..., 1] - MEANS // 2) / (MEANS - 1),
            "scale": lambda i: scale_of(i[..., 0]),
        },
        coding_rank=1,
    )
    index = rng.uniform(-1, (SCALES, MEANS), size=(6, 40, 2)).astype(np.float32)
    scale = scale_of(index[..., 0]).numpy()
    latent = (scale * rng.normal(size=scale.shape)).astype(np.float32)
    rounded, rounded_bits = model(latent, index, training=False)
    noisy, noisy_bits = model(latent, index, training=True)
    return {
        "index": index,
        "latent": latent,
        "rounded": rounded.numpy(),
        "rounded_bits": rounded_bits.numpy(),
        "noisy": noisy.numpy(),
        "noisy_bits": noisy_bits.numpy(),
    }


def layers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Applies convolutions and normalizations to images of 3 channels."""
    given = rng.normal(size=(2, 8, 6, 3)).astype(np.float32)
    options = {"padding": "same_zeros", "kernel_parameter": "variable"}
    down = tfc.SignalConv2D(4, 5, corr=True, strides_down=2, **options)
    up = tfc.SignalConv2D(4, 5, corr=False, strides_up=2, **options)
    found = {"given": given}
    for name, layer in {"down": down, "up": up}.items():
        layer.build(given.shape)
        (variable,) = layer.variables
        kernel = rng.normal(size=variable.shape).astype(np.float32)
        variable.assign(kernel)
        found |= {f"{name}_kernel": kernel, name: layer(given).numpy()}
    for name, options in {
        "gdn": {"alpha_parameter": 2, "epsilon_parameter": 0.5},
        "inverse_gdn": {
            "alpha_parameter": 2,
            "epsilon_parameter": 0.5,
            "inverse": True,
        },
        "default_gdn": {},
    }.items():
        layer = tfc.GDN(**options)
        layer.build(given.shape)
        for variable in layer.variables:
            start = rng.uniform(0.2, 1.0, size=variable.shape)
            variable.assign(start.astype(np.float32))
            short = variable.name.split("_")[-1].split(":")[0]
            found[f"{name}_{short}"] = variable.numpy()
        found[name] = layer(given).numpy()
    return found


def main(path: Path) -> None:
    """Writes the file."""
    tf.random.set_seed(0)
    tf.get_logger().setLevel("ERROR")
    rng = np.random.default_rng(0)
    groups = {"normal": normal(rng), "location_scale": location_scale(rng)}
    groups |= {"indexed": indexed(rng), "layers": layers(np.random.default_rng(1))}
    for seed, name in enumerate(FILTERS):
        groups[f"factorized/{name}"] = factorized(name, seed)
    versions = [f"python {platform.python_version()}"]
    versions += [f"{package} {metadata.version(package)}" for package in PACKAGES]
    arrays: dict[str, Any] = {
        f"{group}/{name}": array
        for group, of_group in groups.items()
        for name, array in of_group.items()
    }
    np.savez_compressed(path, versions=np.array(versions), **arrays)


if __name__ == "__main__":
    beside = Path(__file__).with_name("tensorflow_compression.npz")
    main(Path(sys.argv[1]) if sys.argv[1:] else beside)
