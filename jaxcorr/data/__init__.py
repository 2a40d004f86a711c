"""Training data: sources of photographs, and the pipeline of random crops.

Internal: import `DataConfig` and `AugmentationConfig` from `jaxcorr`.
"""
