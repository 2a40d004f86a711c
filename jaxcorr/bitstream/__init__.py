"""Compressed files: the container, the range coder and the coding loop.

Internal: import `compress` and `decompress` from `jaxcorr`.
"""
