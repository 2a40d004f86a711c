"""Compiles the train step for TPU v5e on any machine, and predicts its speed.

    pip install -c constraints.txt -e '.[test,tpu-aot]'
    python benchmarks/tpu_aot.py [--print-only]

XLA compiles ahead of time, without a TPU, with the sharding, layouts and fusions of a
TPU. A program takes one to four minutes on two cores. Results are kept as JSON in the
folder `tpu_aot` beside this file, and only missing programs are compiled.

Nothing ran on a TPU, so seconds are a roofline: the longer of arithmetic and memory
traffic (`program_traffic.py`), followed by communication, each at the peak rate of the
chip (`roofline.py`). Real steps take longer. "ms by compiler" is the sum of the
compiler's estimates of all operations, which is pessimistic where memory is the limit:
the estimate of a product of two arrays is far longer than their transfer at peak. The
time of a step should lie between the two. Largest batches are extrapolated from two
programs.
"""

import dataclasses
import json
import math
import subprocess
import sys
import typing
from collections.abc import Mapping

import roofline
import tpu_programs
import tyro
from tpu_programs import MODELS, TOPOLOGIES, Program

from jaxcorr.rematerialization import Rematerialization


def table_programs() -> list[Program]:
    """Returns the programs of the tables, the most informative first."""
    minnen_, cheng_, swin_ = (name for name in MODELS if name != "tiny")
    cells = [
        (model, dtype, sharding)
        for sharding in ("data", "fsdp")
        for dtype in ("bfloat16", "float32")
        for model in (minnen_, cheng_, swin_)
    ]
    return [
        Program(model=minnen_, implementations="other"),
        Program(model=minnen_, implementations="plain"),
        *(Program(model=minnen_, chips=chips) for chips in TOPOLOGIES),
        Program(model=minnen_, batch=32),
        *(
            Program(model=model, batch=batch, dtype=dtype, sharding=sharding)
            for batch in (16, 8)
            for model, dtype, sharding in cells
        ),
        *(
            Program(model=model, rematerialization=kind)
            for model in (minnen_, cheng_, swin_)
            for kind in ("transforms", "all")
        ),
    ]


def main(print_only: bool = False, compile_one: str | None = None) -> None:
    """Compiles missing programs, and prints the tables.

    Args:
      print_only: Do not compile; leave out missing programs.
      compile_one: Compile this program, given as JSON, and print its result.
    """
    if compile_one is not None:
        print(json.dumps(tpu_programs.measure(Program(**json.loads(compile_one)))))
        return
    programs = list(dict.fromkeys(table_programs()))
    for number, program in enumerate(programs, 1):
        if not print_only and not program.path.exists():
            print(f"{number} of {len(programs)}: {program.path.stem}", file=sys.stderr)
            compile_to_file(program)
    results = {p: json.loads(p.path.read_text()) for p in programs if p.path.exists()}
    print_programs(results)
    main_model = next(iter(MODELS))
    forms = {
        f"{main_model} {name}": Program(model=main_model, implementations=name)
        for name in ("other", "plain", "tpu")
    }
    batches = {
        f"{main_model}, batch {batch}": Program(model=main_model, batch=batch)
        for batch in (8, 16, 32)
    }
    again = {
        f"{model} {kind}": Program(model=model, rematerialization=kind)
        for model in MODELS
        for kind in typing.get_args(Rematerialization)
    }
    forms_title = "Layers for other devices, without phases, and for TPUs"
    print_variants(forms_title, forms, results)
    print_variants("Batches of several sizes", batches, results)
    print_variants("Activations computed again", again, results)
    print_scaling(results)


def compile_to_file(program: Program) -> None:
    """Compiles in a separate process, since the compiler does not free its memory."""
    description = json.dumps(dataclasses.asdict(program))
    done = subprocess.run(
        [sys.executable, __file__, "--compile-one", description],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if "Error: " in line]
        print(f"  does not compile: {' '.join(reasons[-1:])}", file=sys.stderr)
        return
    program.path.parent.mkdir(exist_ok=True)
    result = json.loads(done.stdout.splitlines()[-1])
    program.path.write_text(json.dumps(result, indent=1) + "\n")


def print_programs(results: dict[Program, dict]) -> None:
    """Prints a line for each model, type and sharding."""
    print("Train step on 8 chips of TPU v5e, crops of 256x256, predicted, per chip")
    print(
        f"{'model':16}{'type':10}{'split':6}{'GFLOP':>7}{'MB':>6}{'MB':>7}{'MB':>7}"
        f"{'ms':>7}{'ms':>7}{'ms':>7}{'ms by':>9}{'images/s':>9}{'arith.':>8}"
        f"{'largest':>8}"
    )
    print(
        f"{'':32}{'/image':>7}{'/img':>6}{'links':>7}{'held':>7}{'arith':>7}"
        f"{'memory':>7}{'links':>7}{'compiler':>9}{'per chip':>9}{'of peak':>8}"
        f"{'batch':>8}"
    )
    for program, result in results.items():
        if (
            program.chips != 8
            or program.batch != 16
            or program.implementations != "tpu"
            or program.rematerialization != "none"
        ):
            continue
        arithmetic, memory, links = roofline.bounds(result)
        seconds = roofline.predicted_seconds(result)
        sent = sum(total["bytes"] for total in result["collectives"].values())
        half = results.get(dataclasses.replace(program, batch=8))
        print(
            f"{program.model:16}{program.dtype:10}{program.sharding:6}"
            f"{result['flops'] / program.batch / 1e9:7.1f}"
            f"{result['memory_traffic'] / program.batch / 1e6:6.0f}"
            f"{sent / 1e6:7.0f}{roofline.occupied(result) / 1e6:7.0f}"
            f"{1e3 * arithmetic:7.1f}{1e3 * memory:7.1f}{1e3 * links:7.2f}"
            f"{compiler_milliseconds(result):>9}"
            f"{program.batch / seconds:9.0f}{arithmetic / seconds:8.0%}"
            f"{roofline.largest_batch(result, half) if half else '-':>8}"
        )


def compiler_milliseconds(result: dict) -> str:
    """Returns the compiler's estimate, or a dash if the result has none."""
    seconds = roofline.compiler_seconds(result)
    return f"{1e3 * seconds:.1f}" if seconds else "-"


def print_variants(
    title: str, variants: Mapping[str, Program], results: dict[Program, dict]
) -> None:
    """Prints a line for each variant of a step that was compiled."""
    print(
        f"\n{title}\n{'':28}{'MB held':>9}{'MB/image':>10}{'by compiler':>13}"
        f"{'GFLOP/image':>13}{'ms by compiler':>16}{'an image':>10}"
    )
    for name, program in variants.items():
        result = results.get(program)
        if result is not None:
            seconds = roofline.compiler_seconds(result) or math.nan
            print(
                f"{name:28}{roofline.occupied(result) / 1e6:9.0f}"
                f"{result['memory_traffic'] / program.batch / 1e6:10.0f}"
                f"{result['bytes_by_the_compiler'] / program.batch / 1e6:13.0f}"
                f"{result['flops'] / program.batch / 1e9:13.1f}"
                f"{compiler_milliseconds(result):>16}"
                f"{1e3 * seconds / program.batch:10.2f}"
            )


def print_scaling(results: dict[Program, dict]) -> None:
    """Prints predicted images per second on more chips at a constant batch per chip."""
    print("\nWeak scaling, bfloat16, data-parallel, 16 images per chip, predicted with")
    print("links at peak and no overlap with arithmetic; rings from 256 chips on")
    print(f"{'chips':>6}{'links ms':>10}{'images/s':>11}{'of 8 chips':>12}")
    base = None
    for program, result in results.items():
        if program.batch == 16 and program == Program(
            model=next(iter(MODELS)), chips=program.chips
        ):
            speed = program.batch / roofline.predicted_seconds(result)
            base = base or speed
            print(
                f"{program.chips:>6}{1e3 * roofline.bounds(result)[2]:10.2f}"
                f"{program.chips * speed:11.0f}{speed / base:12.1%}"
            )


if __name__ == "__main__":
    tyro.cli(main)
