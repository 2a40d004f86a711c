"""Figures of images, latents and correlation maps.

Internal: run `jaxcorr show`.
"""
