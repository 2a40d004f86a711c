"""Weights of CompressAI with finer latents, for comparisons of decoded pictures.

Coding rounds means to 1/64, so a latent in a hundred is rounded to another integer than
in CompressAI. This must not show in a picture.
"""

import numpy as np

STEPS = 16
"""Quantization steps in place of one."""
PREDICTION = {"mbt2018-mean": ("h_s.4",), "cheng2020-anchor": ("entropy_parameters.4",)}
PREDICTION["mbt2018"] = PREDICTION["cheng2020-anchor"]
SYNTHESIS = {
    "mbt2018-mean": ("g_s.0",),
    "mbt2018": ("g_s.0",),
    # A residual block, whose biases grow, and the two branches of the next block.
    "cheng2020-anchor": ("g_s.1.subpel_conv.0", "g_s.1.upsample.0"),
}
ARCHITECTURES = tuple(SYNTHESIS)


def with_finer_latents(
    state: dict[str, np.ndarray], architecture: str
) -> dict[str, np.ndarray]:
    """Returns weights of the same codec, but for latents, means and scales times 16."""
    grown = ("g_a.6", *PREDICTION[architecture])
    names = {f"{layer}.{kind}" for layer in grown for kind in ("weight", "bias")}
    seen = ("h_a.0", "context_prediction", *SYNTHESIS[architecture])
    factors = dict.fromkeys(names, STEPS)
    factors |= {f"{layer}.weight": 1 / STEPS for layer in seen}
    if architecture.startswith("cheng"):
        factors |= {f"g_s.0.conv{number}.bias": STEPS for number in (1, 2)}
    return {
        name: array * np.float32(factors.get(name, 1)) for name, array in state.items()
    }
