"""Runs the TensorFlow port of the loss on given arrays, in a Python without JAX.

    PYTHON tensorflow_port.py cases|messages|replicas IN.npz OUT.npz

`IN.npz` holds the arrays and, as JSON, how to call the port with them.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # No dependency.

from jaxcorr.interop import tensorflow as port

WAYS = {
    "eager": lambda function, _: function,
    "graph": lambda function, _: tf.function(function),
    "compiled": lambda function, _: tf.function(function, jit_compile=True),
    "sizes unknown": lambda function, arrays: tf.function(
        function,
        input_signature=[
            tf.TensorSpec([None] * array.shape.rank, array.dtype) for array in arrays
        ],
    ),
}


def cases(given):
    """Returns loss and gradients of every case, called in every way."""
    outputs = {}
    for number, (name, case) in enumerate(json.loads(str(given["cases"])).items()):
        arrays = [
            tf.cast(given[f"{name}/{array}"], dtype)
            for array, dtype in zip(
                ("latent", "mean", "scale"), case["types"], strict=True
            )
        ]
        mask = given.get(f"{name}/mask", case["mask"])
        function = loss_and_gradients(mask=mask, **case["options"])
        # Each way costs a second, so each random case uses only one of them.
        ways = [*WAYS][number % len(WAYS) :][:1] if "random" in name else WAYS
        for way in ways:
            results = WAYS[way](function, arrays)(*arrays)
            names = ("loss", "latent", "mean", "scale")
            for result, value in zip(names, results, strict=True):
                if value.dtype == tf.bfloat16:  # NumPy has none.
                    value = tf.cast(value, tf.float32)
                outputs[f"{name}/{way}/{result}"] = value.numpy()
    return outputs


def loss_and_gradients(**options):
    """Returns the loss and its gradients as a function of the arrays alone."""

    def function(latent, mean, scale):
        with tf.GradientTape() as tape:
            tape.watch([latent, mean, scale])
            loss = port.correlation_loss(latent, mean, scale, **options)
        zero = tf.UnconnectedGradients.ZERO
        return loss, *tape.gradient(
            loss, [latent, mean, scale], unconnected_gradients=zero
        )

    return function


def messages(given):
    """Returns the error message of every wrong call."""
    outputs = {}
    for name, (function, shapes, options) in json.loads(str(given["calls"])).items():
        try:
            getattr(port, function)(*map(np.ones, shapes), **options)
            outputs[name] = "nothing"
        except ValueError as error:
            outputs[name] = str(error)
    unknown = tf.function(
        port.correlation_loss, input_signature=[tf.TensorSpec([None] * 4)] * 3
    )
    small, other = np.ones((1, 5, 9, 2), "f"), np.ones((1, 9, 9, 2), "f")
    mistakes = {
        "window": [small] * 3,
        "shape": [other, other, small],
        "no latents": [other[:0]] * 3,
    }
    for name, arrays in mistakes.items():
        try:
            unknown(*arrays)
            outputs[f"at run time: {name}"] = "nothing"
        except tf.errors.InvalidArgumentError as error:
            outputs[f"at run time: {name}"] = str(error)
    return outputs


def replicas(given):
    """Returns the loss and gradient of a batch on one device and on two replicas."""
    host = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(host, two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    batch, gain = tf.constant(given["batch"]), tf.Variable(tf.constant(1.0))

    def parts(latent):
        # A model of one parameter, on which latents, means and scales depend.
        return gain * latent, gain**2 * latent[:, ::-1], 0.5 + tf.abs(gain * latent)

    def whole():
        with tf.GradientTape() as tape:
            loss = port.correlation_loss(*parts(batch))
        return loss, tape.gradient(loss, gain)

    def replica():
        context = tf.distribute.get_replica_context()
        rank = context.replica_id_in_sync_group
        share = tf.gather(tf.reshape(batch, (2, -1, *batch.shape[1:])), rank)
        with tf.GradientTape() as tape:
            z = port.normalize(*parts(share))
            map = context.all_reduce(
                tf.distribute.ReduceOp.MEAN, port.correlation_map(z)
            )
            loss = port.masked_norm(map, "point") / strategy.num_replicas_in_sync
        own = port.correlation_loss(*parts(share))
        return loss, tape.gradient(loss, gain), own

    with strategy.scope():
        loss, gradient, own = (
            strategy.reduce("SUM", value, axis=None)
            for value in tf.function(lambda: strategy.run(replica))()
        )
    one, one_gradient = whole()
    values = {
        "one device": (one, one_gradient),
        "two replicas": (loss, gradient),
        "mean of their own losses": (own / 2, 0.0),
    }
    return {name: np.array([*map(float, pair)]) for name, pair in values.items()}


def unwanted_modules(wanted):
    """Returns modules that were imported and that a port must do without."""
    # TensorFlow itself imports JAX if JAX is installed.
    ours = {name for name in sys.modules if name.partition(".")[0] == "jaxcorr"}
    others = {"jaxtyping", "beartype", "flax"} & set(sys.modules)
    return sorted(ours - {"jaxcorr", "jaxcorr.interop", *wanted} | others)


if __name__ == "__main__":
    action, source, target = sys.argv[1:]
    with np.load(source) as arrays:
        actions = {"cases": cases, "messages": messages, "replicas": replicas}
        outputs = actions[action](dict(arrays))
    unwanted = unwanted_modules({port.__name__})
    np.savez(target, version=tf.__version__, unwanted=unwanted, **outputs)
