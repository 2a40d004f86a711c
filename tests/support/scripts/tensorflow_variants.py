"""Runs variants of the loss in TensorFlow on given arrays, in a Python without JAX.

PYTHON tensorflow_variants.py cases|messages|steps IN.npz OUT.npz
"""

import json
import sys

import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # No dependency.
from tensorflow_port import WAYS, unwanted_modules

from jaxcorr.interop import tensorflow as port
from jaxcorr.interop import tensorflow_variants as variants


def cases(given):
    """Returns the value of every case and the gradient of its sum, in every way."""
    outputs = {}
    for name, (function, options, without) in json.loads(str(given["cases"])).items():
        count = sum(key.startswith(f"{name}/") for key in given)
        arrays = [tf.constant(given[f"{name}/{index}"]) for index in range(count)]
        for way in sorted(set(WAYS) - set(without)):
            call = WAYS[way](value_and_gradients(function, options), arrays)
            value, *gradients = call(*arrays)
            outputs[f"{name}/{way}/value"] = value.numpy()
            for index, gradient in enumerate(gradients):
                outputs[f"{name}/{way}/{index}"] = gradient.numpy()
    return outputs


def value_and_gradients(function, options):
    """Returns a variant and the gradients of its sum as a function of arrays alone."""

    def call(*arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            value = getattr(variants, function)(*arrays, **options)
            total = tf.reduce_sum(value)
        zero = tf.UnconnectedGradients.ZERO
        return value, *tape.gradient(total, arrays, unconnected_gradients=zero)

    return call


def messages(given):
    """Returns the error message of every wrong call."""
    outputs = {}
    for name, (function, shapes, options) in json.loads(str(given["calls"])).items():
        try:
            getattr(variants, function)(*map(np.ones, shapes), **options)
            outputs[name] = "nothing"
        except ValueError as error:
            outputs[name] = str(error)
    unknown = [tf.TensorSpec([None] * 4)]
    later = {
        "one image": (variants.unbiased_correlation_loss, 3, (1, 8, 8, 2)),
        "latents too narrow": (variants.whitening_loss, 1, (1, 8, 4, 2)),
        "no latents": (variants.whitening_loss, 1, (0, 8, 8, 2)),
    }
    for name, (function, count, shape) in later.items():
        traced = tf.function(function, input_signature=unknown * count)
        try:
            traced(*[np.ones(shape, "f")] * count)
            outputs[f"at run time: {name}"] = "nothing"
        except tf.errors.InvalidArgumentError as error:
            outputs[f"at run time: {name}"] = str(error)
    return outputs


def steps(given):
    """Returns the bits at an average of moments, and their gradient for one step."""
    latents, average = tf.constant(given["latents"]), tf.constant(given["average"])
    with tf.GradientTape() as tape:
        tape.watch(latents)
        moments = variants.neighbor_moments(latents)
        estimate = tf.stop_gradient(average - moments) + moments
        bits = tf.reduce_sum(variants.whitening_bits(estimate))
    gradient = tf.convert_to_tensor(tape.gradient(bits, latents))
    return {"bits": bits.numpy(), "gradient": gradient.numpy()}


if __name__ == "__main__":
    action, source, target = sys.argv[1:]
    with np.load(source) as arrays:
        actions = {"cases": cases, "messages": messages, "steps": steps}
        outputs = actions[action](dict(arrays))
    unwanted = unwanted_modules({port.__name__, variants.__name__})
    np.savez(target, unwanted=unwanted, **outputs)
