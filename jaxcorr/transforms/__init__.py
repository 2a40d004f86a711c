"""The four transforms of each architecture."""
