"""Trains in Python, in a process that JAX connects first.

python train_connected.py ADDRESS INDEX CONFIG WORKDIR SOURCE
"""

import sys

import jax

import jaxcorr

address, index, config, workdir, source = sys.argv[1:]
jax.distributed.initialize(address, 2, int(index))
for steps in (1, 2):
    data = {"source": source, "batch_size": 4}
    jaxcorr.train(config, workdir=workdir, steps=steps, data=data)
print(f"process {index} goes on")
