"""Random codecs and images."""

import numpy as np

from jaxcorr import codec, saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.training.sweep import member_weights
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

TRANSFORMS = {
    "minnen": Minnen(width=8, channels=12),
    "cheng": Cheng(width=8),
    "swin": Swin(
        widths=(4, 4, 8, 8),
        side_widths=(8, 8),
        # Depths of 0, 1 and 2 (shifted windows): a block takes seconds to compile.
        depths=(0, 1, 0, 2),
        side_depths=(2, 0),
        window=4,
        side_window=2,
        head_width=4,
    ),
}
CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "channelwise": Channelwise(slices=3, support=1, networks="light"),
    "space-channel": SpaceChannel(groups=(2, 3), hidden=(6, 5)),
    "autoregressive": Autoregressive(),
}

GAINS = {
    "minnen": {
        "analysis/layers/6/kernel": 4,
        "hyper_analysis/layers/4/kernel": 16,
        "synthesis/layers/6/kernel": 0.3,
    },
    "cheng": {
        "analysis/layers/6/kernel": 3,
        "hyper_analysis/layers/8/kernel": 16,
        "synthesis/layers/7/convolution/kernel": 0.2,
    },
    "swin": {
        "analysis/layers/4/linear/kernel": 3,
        "hyper_analysis/layers/3/linear/kernel": 4,
        "synthesis/layers/6/linear/kernel": 0.2,
    },
}
"""Factors of random kernels that give latents and images of a realistic size."""

WIDE = {
    context: CodecConfig(
        transforms=Minnen(width=64, channels=96), context=CONTEXTS[context]
    )
    for context in CONTEXTS
} | {"swin": CodecConfig(transforms=TRANSFORMS["swin"])}
"""Every context model at a realistic width, and hyper-transforms of Swin."""

CONSTANTS = {
    "beta_root": 1.0,
    "matrices": -1.0,
    "biases": 0.3,
    "gain": 1.0,
}
SCALE_BIAS = 2.5


def weights(distortion_weight=0.013, correlation_weight=0.1):
    """Returns λ and α as arguments of a training step."""
    member = SweepMember(
        seed=0,
        distortion_weight=distortion_weight,
        correlation_weight=correlation_weight,
    )
    return member_weights(member)


def make_model(*, width=8, channels=12, gain=1.0, noise=1.0):
    """Returns a random mean-scale hyperprior.

    Args:
      width: Width of the transforms.
      channels: Channels of the latents.
      gain: Factor of the latents; the higher, the more bits.
      noise: Factor of the reconstruction's noise around gray; the higher, the lower the
        PSNR.
    """
    transforms = Minnen(width=width, channels=channels)
    settings = CodecConfig(transforms=transforms)
    gains = dict(GAINS["minnen"])
    gains["analysis/layers/6/kernel"] *= gain
    gains["synthesis/layers/6/kernel"] *= noise
    return make_random_model(settings, gains, prediction_gain=1.0)


def make_rates():
    """Returns random codecs of rising rate and PSNR."""
    return [make_model(gain=x, noise=y) for x, y in ((1, 4), (1.5, 2), (2.2, 0.5))]


def write_sweep(folder, models):
    """Writes a run directory with one checkpoint, whose members are the models."""
    for member, model in enumerate(models):
        path = folder / "checkpoints" / "7" / "models" / str(member)
        saved_model.write_model(path, model)
    return folder


def make_combination(transforms, context):
    """Returns a random codec with the given transforms and context model."""
    settings = CodecConfig(transforms=TRANSFORMS[transforms], context=CONTEXTS[context])
    return make_random_model(settings, GAINS[transforms], prediction_gain=0.3)


def make_wide(name):
    """Returns a random codec of `WIDE`."""
    gains = GAINS["swin" if name == "swin" else "minnen"]
    return make_random_model(WIDE[name], gains, prediction_gain=1.0)


def make_random_model(settings, gains, *, prediction_gain):
    """Returns a random codec whose latents and scales vary as in a trained codec."""
    parameters = draw(settings)
    for name, gain in gains.items():
        parameters[f"transforms/{name}"] *= np.float32(gain)
    channels = settings.transforms.channels
    _set_predictions(parameters, channels, prediction_gain)
    parameters[f"{_last_layer(parameters, 'synthesis')}/bias"][:] = 0.5
    return saved_model.make_model(settings, parameters, provenance=Provenance(step=7))


def draw(settings, *, seed=0):
    """Returns random parameters, with kernels that preserve the variance."""
    shapes = codec.abstract_parameters(settings)
    rng = np.random.default_rng(seed)
    # By NumPy, since compiling `codec.initialize` takes longer than most tests.
    return {name: _draw(name, x.shape, rng) for name, x in shapes.items()}


def assert_every_part_changed(before, after):
    """Asserts that most parameters of each part of a codec have changed.

    A few may stay the same, behind rectifiers that are 0 for the crops of a test.
    """
    changes = {}
    for name, array in before.items():
        part = name.rsplit("/", 2)[0] if "/slices/" in name else name.split("/")[:2]
        changes.setdefault(str(part), []).append(np.any(array != after[name]))
    for part, changed in changes.items():
        assert np.mean(changed) > 0.5, part


def _set_predictions(parameters, channels, gain):
    """Sets the biases of scales, so that few latents are far outside of a scale."""
    slices = [
        name.removesuffix("/bias")
        for name in parameters
        if name.startswith("context/slices/") and name.endswith("/third/bias")
    ]
    groups = [
        name.removesuffix("/bias")
        for name in parameters
        if name.endswith("/aggregation/2/bias")
    ]
    for layer in groups:
        parameters[f"{layer}/kernel"] *= np.float32(gain)
        parameters[f"{layer}/bias"].reshape(2, -1)[0] = SCALE_BIAS
    if groups:
        return
    if "context/network/last/bias" in parameters:
        layers = ["context/network/last"]
    else:
        layers = slices or [_last_layer(parameters, "hyper_synthesis")]
    for layer in layers:
        parameters[f"{layer}/kernel"] *= np.float32(gain)
        bias = parameters[f"{layer}/bias"]
        if not slices:
            # Scales, then means, repeated for each phase of an upsampling.
            bias.reshape(-1, 2, channels)[:, 0] = SCALE_BIAS
        elif "/scale/" in layer:
            bias[:] = SCALE_BIAS


def _last_layer(parameters, transform):
    """Returns the path of the last layer of a transform that has a bias."""
    layers = [
        name.removesuffix("/bias")
        for name in parameters
        if name.startswith(f"transforms/{transform}/") and name.endswith("/bias")
    ]
    return max(layers, key=lambda name: int(name.split("/")[3]))


def blocks(height, width, seed=0):
    """Returns an image of flat blocks of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    rows, columns = np.arange(height) // 8 % 32, np.arange(width) // 8 % 32
    return colors[rows][:, columns]


def _draw(name, shape, rng):
    if name.endswith(("kernel", "position_bias")):
        return rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)
    if name.endswith("gamma_root"):
        return np.eye(*shape, dtype=np.float32) / 3
    value = next((v for key, v in CONSTANTS.items() if key in name), 0.0)
    return np.full(shape, value, np.float32)
