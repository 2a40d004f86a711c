"""Interoperability: imported weights, a ported loss and exported programs."""
