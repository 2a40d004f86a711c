"""Context models: which latents are coded when, and with what mean and scale."""
