"""Counts the parameters of all transforms with all context models.

    python benchmarks/parameters.py

Prints a Markdown table of millions of parameters at reference sizes, and of passes over
the latents of a Kodak photograph. Only shapes are computed.
"""

import functools

import jax
from flax import nnx

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.context import channelwise
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.transforms import cheng, minnen, swin

LATENTS = (32, 48)
TRANSFORMS = {
    "Minnen, 128 and 192": minnen.SIZES["128-192"],
    "Cheng, 128": cheng.SIZES["128"],
    "SwinT, M": swin.SIZES["M"],
}
NARROW = SpaceChannel(groups=(8, 8, 16, 32))
"""Groups for 128 channels, of which the last has 64: half as wide as in the paper."""
CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "ChARM, light": channelwise.LIGHT,
    "ChARM, reference": channelwise.Channelwise(),
    "space-channel": SpaceChannel(),
    "autoregressive": Autoregressive(),
}


def main() -> None:
    """Prints a row for each kind of transforms."""
    print("| transforms | " + " | ".join(CONTEXTS) + " |")
    print("| --- |" + " ---: |" * len(CONTEXTS))
    for name, transforms in TRANSFORMS.items():
        cells = []
        for context in CONTEXTS.values():
            if context == CONTEXTS["space-channel"] and transforms.channels == 128:
                context = NARROW
            settings = CodecConfig(transforms=transforms, context=context)
            key = jax.random.key(0)
            shapes = jax.eval_shape(functools.partial(codec.initialize, settings), key)
            count = sum(array.size for array in shapes.values())
            cells.append(f"{count / 1e6:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    models = (
        context.build(channels=192, rngs=nnx.Rngs(0)) for context in CONTEXTS.values()
    )
    passes = (str(model.num_passes(*LATENTS)) for model in models)
    print(f"| passes over {LATENTS[0]}x{LATENTS[1]} latents | {' | '.join(passes)} |")


if __name__ == "__main__":
    main()
