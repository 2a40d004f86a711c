"""Measurements of codecs on images, through real files."""
