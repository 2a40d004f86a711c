"""Entropy models that return bits, and the integer tables that code with them."""
