"""Context models predict the mean and the scale of each latent from earlier ones.

Internal: import the settings of context models, such as `Checkerboard`, from `jaxcorr`.
"""
