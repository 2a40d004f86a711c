"""Writes `soft_rounding.npz`: soft rounding by TensorFlow Compression, in float64.

    pip install tensorflow-compression==2.14.1 "tensorflow>=2.14,<2.15" "numpy<2"
    python tests/references/make_soft_rounding.py [PATH]

Last made with the versions that the file holds, on Python 3.11. Parameters and noise
are from a generator of NumPy, so that another run writes the same arrays.
"""

import importlib.metadata
import itertools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf  # pyright: ignore  # Not among ours.
import tensorflow_compression as tfc  # pyright: ignore  # As above.

SHARPNESS = np.array([0.01, 1.0, 5.0, 12.0, 20.0])
VALUES = np.arange(-20, 21) / 8
"""Among them all integers and middles from -2.5 to 2.5."""
MEAN = 0.3
SCALES = np.array([0.11, 1.0, 8.0])
WIDTHS = (3, 3, 3, 3)
CHANNELS = 3
PACKAGES = ("tensorflow-compression", "tensorflow", "tensorflow-probability", "numpy")


def rounded(sharpness: np.float64) -> dict[str, np.ndarray]:
    """The functions themselves."""
    values = tf.constant(VALUES)
    return {
        "soft_round": tfc.soft_round(values, sharpness).numpy(),
        "soft_round_inverse": tfc.soft_round_inverse(values, sharpness).numpy(),
        "conditional_mean": tfc.soft_round_conditional_mean(values, sharpness).numpy(),
    }


def normal(sharpness: np.float64, noise: np.ndarray) -> dict[str, np.ndarray]:
    """Log density of a softly rounded normal variable plus noise, and gradients.

    The gradient to latents is the expected one, as
    `ContinuousIndexedEntropyModel(expected_grads=True)` has it.
    """
    latent, scale = (
        tf.constant(array)
        for array in np.broadcast_arrays(VALUES, SCALES[:, None] + 0 * VALUES)
    )

    def log_density(noisy, scale):
        return tfc.NoisySoftRoundedNormal(
            alpha=sharpness, loc=tf.constant(0.0, tf.float64), scale=scale
        ).log_prob(noisy)

    with tf.GradientTape() as tape:
        tape.watch([latent, scale])
        soft = tfc.soft_round(latent - MEAN, sharpness)
        log_prob, _ = tfc.perturb_and_apply(log_density, soft, scale, u=noise)
    to_latent, to_scale = tape.gradient(log_prob, [latent, scale])
    return {
        "normal/log_prob": log_prob.numpy(),
        "normal/to_latent": tf.convert_to_tensor(to_latent).numpy(),
        "normal/to_scale": tf.convert_to_tensor(to_scale).numpy(),
    }


def drawn_parameters() -> dict[str, np.ndarray]:
    """Parameters of a deep factorized density, by their names there."""
    rng = np.random.default_rng(0)
    sizes = (1, *WIDTHS, 1)
    found = {}
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shape = (CHANNELS, outputs, inputs)
        found[f"matrix_{index}"] = rng.normal(0.3, 0.5, shape)
        found[f"bias_{index}"] = rng.normal(0, 0.5, (CHANNELS, outputs, 1))
        if index < len(WIDTHS):
            found[f"factor_{index}"] = rng.normal(0, 0.5, (CHANNELS, outputs, 1))
    return found


def factorized(sharpness: np.float64) -> np.ndarray:
    """Log density of a softly rounded variable plus noise, of learned density."""
    density = tfc.NoisySoftRoundedDeepFactorized(
        alpha=sharpness,
        batch_shape=(CHANNELS,),
        num_filters=WIDTHS,
        dtype=tf.float64,
    )
    parameters = drawn_parameters()
    for variable in density.base.base.trainable_variables:
        variable.assign(parameters[variable.name.split("/")[-1].removesuffix(":0")])
    return density.log_prob(tf.constant(VALUES)[:, None]).numpy()


def main() -> None:
    """Writes all of it, an entry for each sharpness."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (len(SCALES), len(VALUES)))
    each = [
        rounded(sharpness)
        | normal(sharpness, noise)
        | {"factorized/log_prob": factorized(sharpness)}
        for sharpness in SHARPNESS
    ]
    path = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".npz"))
    np.savez_compressed(
        path,
        **{name: np.stack([found[name] for found in each]) for name in each[0]},
        **{f"parameters/{name}": x for name, x in drawn_parameters().items()},
        **{
            "sharpness": SHARPNESS,
            "values": VALUES,
            "mean": MEAN,
            "scales": SCALES,
            "noise": noise,
        },
        versions=np.array(
            [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
        ),
    )


if __name__ == "__main__":
    main()
