"""Writes `loss_variants.npz`: variants of the correlation loss by TensorFlow.

    pip install "tensorflow>=2.14" "numpy<2" && pip install --no-deps .
    python tests/references/make_loss_variants.py [PATH]

Last made with the versions that the file holds, on Python 3.11. The latents, means and
scales are those of the porting guide, so another run writes the same arrays. For each
of the `calls`, which are JSON, there is `NAME/value` and the gradient of its sum with
respect to each array, in float64.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf  # pyright: ignore  # Not among ours.

from jaxcorr.interop import tensorflow as port
from jaxcorr.interop import tensorflow_variants as variants

UNBIASED = "unbiased_correlation_loss"
CALLS = {
    "unbiased": (UNBIASED, 2, {"window": 3}),
    "unbiased, window 7": (UNBIASED, 2, {"window": 7}),
    "unbiased, map per channel": (UNBIASED, 2, {"window": 3, "pool_channels": False}),
    "unbiased, one image": (UNBIASED, 1, {"window": 3}),
    "moments": ("neighbor_moments", 2, {}),
    "whitening": ("whitening_loss", 2, {}),
    "whitening, offset": ("whitening_loss", 2, {"offset": True}),
    "whitening, averaged": ("averaged_bits", 2, {}),
}
"""Function, number of images and options. All but the unbiased loss take normalized
latents."""
PACKAGES = ("tensorflow", "numpy")


def arrays() -> dict[str, np.ndarray]:
    """Returns the latents, means and scales of the porting guide."""
    n = np.arange(2 * 8 * 9 * 3).reshape(2, 8, 9, 3)
    column = np.arange(9)[:, None]
    return {
        "latent": (37 * n % 101) / 200 + column % 4 / 4,
        "mean": (11 * n % 13) / 26,
        "scale": 0.1 + n % 7 / 5,
    }


def averaged_bits(normalized: tf.Tensor) -> tf.Tensor:
    """Returns the bits at the moments of the last image, with a step on the others."""
    average = tf.stop_gradient(variants.neighbor_moments(normalized[-1:]))
    moments = variants.neighbor_moments(normalized[:-1])
    return variants.whitening_bits(tf.stop_gradient(average - moments) + moments)


def value_and_gradients(name: str) -> dict[str, np.ndarray]:
    """Returns what a call gives, and the gradient of its sum."""
    function, images, options = CALLS[name]
    given = {key: tf.constant(array[:images]) for key, array in arrays().items()}
    with tf.GradientTape() as tape:
        tape.watch(given)
        taken = given.values()
        if function != UNBIASED:
            taken = [port.normalize(*taken)]
        module = sys.modules[__name__] if function == "averaged_bits" else variants
        value = getattr(module, function)(*taken, **options)
        total = tf.reduce_sum(value)
    gradients = tape.gradient(total, [*given.values()])
    results = [value, *map(tf.convert_to_tensor, gradients)]
    return {
        key: result.numpy()
        for key, result in zip(("value", *given), results, strict=True)
    }


def main() -> None:
    """Writes all of it."""
    beside = Path(__file__).with_name("loss_variants.npz")
    path = Path(sys.argv[1]) if sys.argv[1:] else beside
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    found = {
        f"{name}/{key}": value
        for name in CALLS
        for key, value in value_and_gradients(name).items()
    }
    found |= {"calls": np.array(json.dumps(CALLS)), "versions": np.array(versions)}
    found |= arrays()
    np.savez_compressed(path, **found)  # pyright: ignore[reportArgumentType]  # Names.


if __name__ == "__main__":
    main()
