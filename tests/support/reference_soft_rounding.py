"""Soft rounding by its definition, and the values that its tests share."""

import numpy as np

SHARPNESS = [0.0, 1e-6, 1e-3, 0.1, 1.0, 5.0, 12.0, 30.0, 64.0]
VALUES = np.linspace(-3, 3, 49)
"""Multiples of 1/8, which include all integers and half-integers."""


def soft_round(values, sharpness):
    """Computes soft rounding by its definition, in float64."""
    middle = np.floor(values) + 0.5
    return middle + np.tanh(sharpness * (values - middle)) / (
        2 * np.tanh(sharpness / 2)
    )
