"""The correlation loss by its definition, and correlation maps of its authors."""

import itertools

import numpy as np

# The 7x7 maps in the authors' figure of one Kodak photograph, without and with the
# loss. The figure leaves the middle blank; it is 1 here, and the mask removes it.
PUBLISHED_WITHOUT_LOSS = """
    .022 .023 .015 .022 .018 .017 .019
    .010 .007 .023 .021 .027 .029 .026
    .023 .033 .030 .042 .039 .030 .025
    .041 .051 .076 1    .076 .050 .043
    .024 .028 .032 .041 .026 .033 .025
    .025 .027 .023 .020 .022 .012 .012
    .015 .015 .014 .018 .018 .023 .018
"""
PUBLISHED_WITH_LOSS = """
    .009 .009 .013 .013 .015 .013 .016
    .012 .010 .012 .018 .014 .017 .017
    .013 .014 .013 .016 .016 .015 .014
    .024 .023 .031 1    .032 .025 .027
    .010 .011 .012 .013 .011 .015 .014
    .010 .011 .008 .014 .009 .008 .012
    .008 .006 .008 .007 .009 .004 .006
"""


def looped_maps(normalized, window):
    """Computes one map per channel by its definition: four loops, in float64."""
    z = np.asarray(normalized, np.float64)
    z = z.reshape(-1, *z.shape[-3:])
    _, height, width, channels = z.shape
    r = window // 2
    maps = np.zeros((channels, window, window))
    for i, j in itertools.product(range(-r, r + 1), repeat=2):
        for y in range(r, height - r):
            for x in range(r, width - r):
                maps[:, r + i, r + j] += (z[:, y, x] * z[:, y + i, x + j]).mean(axis=0)
    return maps / ((height - 2 * r) * (width - 2 * r))


def weights_of(mask, window):
    """Returns the weights of a mask, set cell by cell."""
    weights, r = np.ones((window, window)), window // 2
    if mask == "box":
        weights[r - 1 : r + 2, r - 1 : r + 2] = 0
    arm = {"point": 0, "short_cross": 1, "box": 1, "long_cross": r}[mask]
    weights[r, r - arm : r + arm + 1] = weights[r - arm : r + arm + 1, r] = 0
    return weights
