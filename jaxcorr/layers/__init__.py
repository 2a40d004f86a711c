"""Layers of the transforms and of the context models.

Internal: codecs are built from settings, `jaxcorr.CodecConfig`.
"""
