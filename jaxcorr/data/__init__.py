"""Training data: where photographs come from, and the pipeline of crops."""
