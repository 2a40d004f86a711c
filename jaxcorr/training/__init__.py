"""Training: objective, step, mesh, checkpoints and loop."""
