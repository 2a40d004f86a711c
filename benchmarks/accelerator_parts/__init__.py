"""The parts of `benchmarks/accelerator.py`, and what they share."""
