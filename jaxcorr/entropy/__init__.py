"""Entropy models that return bits, and the integer tables that code with them.

Stable: `gaussian.gaussian_bits` and `factorized.FactorizedPrior`, for codecs of your
own. The rest is internal.
"""
