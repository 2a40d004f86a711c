"""Training: loss, step, sharding, checkpoints and the loop over batches."""
