"""Measures learned and classical codecs on images, through real files."""
