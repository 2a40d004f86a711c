"""Measures learned and classical codecs on images, through real files.

Internal: import `evaluate` from `jaxcorr`.
"""
