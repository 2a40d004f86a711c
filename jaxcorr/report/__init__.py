"""Reports on evaluated codecs: rate-distortion curves, tables and figures.

Internal: run `jaxcorr report`.
"""
