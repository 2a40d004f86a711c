"""Context models predict the mean and the scale of each latent from earlier ones."""
