"""Continuous entropy models in bits, and their integer tables for coding."""
