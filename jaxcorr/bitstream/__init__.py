"""Compressed files: the container, the range coder and the coding loop."""
