"""Layers of the transforms and of the context models."""
