"""Metrics of image quality and of rate-distortion curves.

Stable: `image_quality.ms_ssim`, `image_quality.psnr_from_mse`, `bjontegaard.bd_rate`
and `bjontegaard.bd_psnr`.
"""
