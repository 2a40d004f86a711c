"""Training: loss, step, sharding, checkpoints and the loop over batches.

Internal: import `train` and the settings, such as `LossConfig`, from `jaxcorr`.
"""
