"""Evaluation: real files, rows and pictures."""
