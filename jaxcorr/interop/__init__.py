"""Interoperability: imported weights, a ported loss and exported programs.

Stable: the functions of `tensorflow` and `tensorflow_compression`. The rest is internal
and is used through the command line.
"""
