"""Prints where the compiler's estimate of a train step for TPU v5e goes.

    pip install -c constraints.txt -e '.[test,tpu-aot]'
    python benchmarks/tpu_operations.py [--model 'minnen 192/320'] [--top 10]

Compiles the step without a TPU, as `tpu_aot.py` does, and prints the dearest operations
and the sums of their kinds. Nothing runs. Beside the milliseconds that the compiler
expects of an operation is the time of its memory traffic at the peak rate.
"""

import collections
import re
from pathlib import Path

import program_traffic
import roofline
import tyro
from program_traffic import Operation


def main(
    model: str = "minnen 192/320",
    batch: int = 16,
    dtype: str = "bfloat16",
    implementations: str = "tpu",
    top: int = 10,
    program_text: Path | None = None,
) -> None:
    """Prints the tables of a program.

    Args:
      model: Model of `tpu_programs.MODELS`.
      batch: Crops of 256x256 on each of 8 chips.
      dtype: Type in which analysis and synthesis compute.
      implementations: Implementations of layers, of `tpu_programs.IMPLEMENTATIONS`.
      top: Number of operations to print.
      program_text: File of the compiled program: read if it is there, else written.
    """
    if program_text is not None and program_text.exists():
        text = program_text.read_text()
    else:
        text = compiled_text(
            model=model, batch=batch, dtype=dtype, implementations=implementations
        )
        if program_text is not None:
            program_text.write_text(text)
    operations = program_traffic.operations(text)
    cycles = sum(operation.cycles for operation in operations)
    print(f"{model}, {batch} crops a chip, {dtype}, TPU v5e")
    print(f"{milliseconds(cycles):.1f} ms expected by the compiler, all in sequence")
    print_kinds(operations)
    print_dearest(operations, top)


def compiled_text(**settings) -> str:
    """Compiles the step and returns the text of the program.

    Args:
      **settings: Fields of `tpu_programs.Program`.
    """
    import tpu_programs  # Sets the environment of the compiler.

    program = tpu_programs.Program(**settings)
    return tpu_programs.compile_step(program).as_text() or ""


def print_kinds(operations: list[Operation]) -> None:
    """Prints the sums over the operations of each kind, the dearest first."""
    kinds = collections.defaultdict(list)
    for operation in operations:
        kinds[kind_of(operation)].append(operation)
    print(f"\n{'ms':>7}{'memory':>8}{'count':>7}  kind")
    for kind, members in sorted(kinds.items(), key=lambda item: -total(item[1])):
        memory = sum(operation.memory for operation in members)
        print(
            f"{milliseconds(total(members)):7.2f}"
            f"{1e3 * memory / roofline.PEAK_MEMORY:8.2f}{len(members):7}  {kind}"
        )


def print_dearest(operations: list[Operation], top: int) -> None:
    """Prints the operations with the longest estimates."""
    print(f"\n{'ms':>7}{'memory':>8}  {'result':28} operation")
    dearest = sorted(operations, key=lambda operation: -operation.cycles)
    for operation in dearest[:top]:
        print(
            f"{milliseconds(operation.cycles):7.2f}"
            f"{1e3 * operation.memory / roofline.PEAK_MEMORY:8.2f}"
            f"  {operation.array:28} {kind_of(operation)}"
        )


def kind_of(operation: Operation) -> str:
    """Returns the pass that an operation belongs to, and what it computes."""
    primitive = re.sub(r"[\[;].*", "", operation.name.rpartition("/")[2])
    if "copy" in operation.kind or not primitive:
        return operation.kind
    direction = program_traffic.direction(operation.name)
    return f"{direction} {operation.origin or primitive}"


def total(operations: list[Operation]) -> int:
    """Returns the cycles of operations in sequence."""
    return sum(operation.cycles for operation in operations)


def milliseconds(cycles: int) -> float:
    """Returns the duration of cycles of the chip."""
    return 1e3 * cycles / roofline.CLOCK


if __name__ == "__main__":
    tyro.cli(main)
