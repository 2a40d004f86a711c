"""Learned image compression in JAX with the correlation loss."""
