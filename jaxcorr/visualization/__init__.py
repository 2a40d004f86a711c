"""Figures of images, latents and correlation maps."""
