"""Layers that the transforms are made of."""
