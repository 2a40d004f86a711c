"""Metrics of image quality and of rate-distortion curves."""
