"""Profiles a train step, and times the implementations of its layers."""

import collections
import functools
import itertools
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import blocks
import jax

from accelerator_parts import setup
from accelerator_parts.results import Figures, Results
from accelerator_parts.sizes import Sizes
from accelerator_parts.speed import largest_fitting
from jaxcorr.errors import UserError

MODEL, DTYPE = "minnen-192-320", "bfloat16"
UPSAMPLING = {MODEL: "upsampling", "cheng-128": "sub_pixels"}
"""Models to time in all implementations of GDN and of this kind of upsampling."""
DEVICE_LINES = ("Stream", "XLA Ops")
"""Prefixes of the lines of a trace that hold the kernels of a GPU or a TPU."""
TOP = 20
"""Number of operations that are listed."""
INSTRUCTION = re.compile(r"%?([\w.-]+) = .*?([a-z][\w-]*)\(")
OP_NAME = re.compile(r'op_name="([^"]*)"')
TARGET = re.compile(r'custom_call_target="([^"]*)"')
CATEGORIES = {
    "convolution": ("conv_general_dilated", "convolution", "cudnn"),
    "matrix product": ("dot_general", "gemm", "cublas", "dot"),
    "copy or transposition": ("transpose", "copy", "memcpy", "bitcast", "reshape"),
    "reduction": ("reduce", "argmax", "cumsum"),
    "random numbers": ("random", "threefry"),
}
"""Words in an operation's name, target or origin; the first category that fits."""


def run(results: Results, sizes: Sizes, **_: Any) -> None:
    """Profiles the step, then times it in all combinations of implementations."""
    profiled_step = results.measure(
        f"operations of {MODEL}",
        lambda: largest_fitting(sizes, functools.partial(operations, sizes)),
    )
    for name, seconds in (profiled_step or {}).get("top", {}).items():
        print(f"    {1e3 * seconds:9.3f} ms  {name}")
    for name, kind in UPSAMPLING.items():
        for forms in itertools.islice(forms_of(kind), sizes.form_choices):
            results.measure(
                f"{name} with {_describe(forms)}",
                functools.partial(_at_largest, sizes, name, forms),
            )
    print_fastest(results)


def operations(sizes: Sizes, batch: int) -> Figures:
    """Traces some steps, and sums the time of each category of operations.

    Raises:
      UserError: If the trace holds no operation of the step.
    """
    static_config = setup.static_config_of(sizes.models[MODEL], DTYPE, crop=sizes.crop)
    block, compiled = blocks.our_block(static_config, batch=batch, crop=sizes.crop)
    program = compiled.as_text() or ""
    module = program.split(",", 1)[0].removeprefix("HloModule ")
    block(2)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            seconds = block(sizes.profiled_steps) / sizes.profiled_steps
        (path, *_) = Path(folder).rglob("*.xplane.pb")
        times = operation_seconds(path, module)
    if not times:
        raise UserError(
            "the profiler must record operations of the step, but recorded none: use "
            "the timings below, or another version of JAX"
        )
    times = {name: time / sizes.profiled_steps for name, time in times.items()}
    origins = origins_of(program)
    kinds: dict[str, float] = collections.defaultdict(float)
    for name, time in times.items():
        kinds[category(name, origins.get(name, ""))] += time
    total = sum(times.values())
    ranked = sorted(times.items(), key=lambda item: -item[1])[:TOP]
    return {
        "batch": batch,
        "seconds_per_step": seconds,
        "traced_seconds_per_step": total,
        "share": {
            kind: time / total
            for kind, time in sorted(kinds.items(), key=lambda item: -item[1])
        },
        "top": {f"{name} ({origins.get(name, '')})": time for name, time in ranked},
    }


def operation_seconds(path: Path, module: str) -> dict[str, float]:
    """Returns the seconds of each operation of a compiled program in a trace.

    Args:
      path: The trace.
      module: Name that XLA gave the program.
    """
    times: dict[str, float] = collections.defaultdict(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # From JAX itself.
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            device = plane.name.startswith("/device:")
            for line in plane.lines:
                kernels = device and line.name.startswith(DEVICE_LINES)
                for event in line.events:
                    stats = dict(event.stats)
                    if stats.get("hlo_module", module if kernels else "") == module:
                        # Kernels of a CUDA graph may not name their operation.
                        name = str(stats.get("hlo_op", event.name)).split(" = ")[0]
                        times[name.lstrip("%")] += event.duration_ns / 1e9
    return dict(times)


def origins_of(program: str) -> dict[str, str]:
    """Returns opcode, library function and JAX operation of each instruction."""
    origins = {}
    for line in program.splitlines():
        if match := INSTRUCTION.search(line):
            parts = [match[2]]
            parts += [target[1] for target in TARGET.finditer(line)]
            parts += [name[1].rsplit("/", 1)[-1] for name in OP_NAME.finditer(line)]
            origins[match[1]] = " ".join(parts)
    return origins


def category(name: str, origin: str) -> str:
    """Returns the category of an operation: `elements` if no other fits."""
    text = f"{origin} {name}".lower()
    for kind, words in CATEGORIES.items():
        if any(word in text for word in words):
            return kind
    return "elements"


def forms_of(upsampling: str) -> Iterator[dict[str, str]]:
    """Yields combinations of implementations: the default, then the rarest first."""
    yield {}
    kinds = (upsampling, "channel_product")
    names = (reversed(setup.form_names(kind)) for kind in kinds)
    for forms in itertools.product(*names):
        yield dict(zip(kinds, forms, strict=True))


def with_forms(
    sizes: Sizes, name: str, forms: Mapping[str, str], batch: int
) -> Figures:
    """Times a step with given implementations, or with the default if none is given."""
    static_config = setup.static_config_of(sizes.models[name], DTYPE, crop=sizes.crop)
    with setup.forced_forms(forms):
        block, compiled = blocks.our_block(static_config, batch=batch, crop=sizes.crop)
    (seconds,) = blocks.in_turns(
        [block], seconds=sizes.block_seconds, rounds=sizes.rounds
    )
    memory = compiled.memory_analysis()
    assert memory is not None
    return {
        "batch": batch,
        "images_per_second": batch / seconds,
        "mebibytes_per_image": memory.temp_size_in_bytes / 2**20 / batch,
    }


def print_fastest(results: Results) -> None:
    """Prints the fastest implementations, to set in `layers/implementations.py`."""
    for name in UPSAMPLING:
        speeds = {
            key: figure["images_per_second"]
            for key, figure in results.figures.items()
            if key.startswith(f"{name} with ")
        }
        if speeds:
            best = max(speeds, key=lambda key: speeds[key])
            print(f"profile: fastest is {best}; set it in layers/implementations.py")


def _at_largest(sizes: Sizes, name: str, forms: Mapping[str, str]) -> Figures:
    return largest_fitting(sizes, functools.partial(with_forms, sizes, name, forms))


def _describe(forms: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} {form}" for kind, form in forms.items()) or "default"
