"""Compiles the training step for TPU v5e by what it computes again, for its memory.

    pip install -c constraints.txt -e '.[test,tpu]'
    python benchmarks/rematerialization.py [--model 'minnen 192/320' --batch 8]

Nothing runs: memory and arithmetic are the compiler's, for each of 8 chips. A CPU is
left out, since its compiler finds the repeated computations and shares them again.
"""

import dataclasses
import typing

import tpu_programs  # Before JAX.
import tyro

from jaxcorr.rematerialization import Rematerialization


def main(model: str = "minnen 192/320", batch: int = 8, crop: int = 256) -> None:
    """Prints a line for each kind of rematerialization.

    Args:
      model: Model of `tpu_programs.MODELS`.
      batch: Crops per chip.
      crop: Side of a crop, in pixels.
    """
    program = tpu_programs.Program(model=model, batch=batch, crop=crop)
    settings = tpu_programs.static_config_of(program)
    print(f"{model}, {batch} crops of {crop}x{crop} on each of 8 chips of TPU v5e")
    print(
        f"{'computed again':>15} {'temporary MB':>13} {'GFLOP':>9} {'traffic MB':>11}"
    )
    for kind in typing.get_args(Rematerialization):
        step = dataclasses.replace(settings.step, rematerialization=kind)
        costs = tpu_programs.costs_of(
            tpu_programs.compile_step(program, dataclasses.replace(settings, step=step))
        )
        print(
            f"{kind:>15} {costs['temporary_bytes'] / 1e6:13.1f}"
            f" {costs['flops'] / 1e9:9.1f} {costs['memory_traffic'] / 1e6:11.1f}",
            flush=True,
        )


if __name__ == "__main__":
    tyro.cli(main)
