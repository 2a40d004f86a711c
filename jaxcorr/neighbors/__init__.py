"""Measures what neighbors could still save in a trained codec.

Internal: import `bound` from `jaxcorr`, or run `jaxcorr bound`.
"""
