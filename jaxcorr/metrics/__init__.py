"""Image quality, and distances between rate-distortion curves."""
