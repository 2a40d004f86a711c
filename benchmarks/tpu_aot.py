"""Compiles the train step for TPU v5e, on any machine, and predicts its speed.

    pip install -c constraints.txt -e '.[test,tpu-aot]'
    python benchmarks/tpu_aot.py [--print-only]

XLA compiles ahead of time, without a TPU: sharded, laid out and fused as it would run
there. A program takes one to four minutes on two cores; results are kept as JSON in the
folder `tpu_aot` beside this file, and only what is missing there is compiled.

Nothing ran on a TPU, so seconds are a roofline: the longer of arithmetic and of traffic
with memory (`program_traffic.py`), and the communication after that, each at the peak
rate of the chip. Real steps take longer. Batches are interpolated from two programs.
"""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.update(
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",  # It locks a file for a TPU that is not here.
    JAX_PLATFORMS="cpu",
    TPU_ACCELERATOR_TYPE="v5litepod-8",
    TPU_SKIP_MDS_QUERY="1",
)

import jax
import jax.numpy as jnp
import program_traffic
import tyro
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from jaxcorr import codec
from jaxcorr.codec import CodecSettings, TransformSettings
from jaxcorr.training import mesh as meshes
from jaxcorr.training.mesh import MeshShape
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.step import Recipe, Step, initial_state, train_step
from jaxcorr.transforms import cheng, minnen, swin

RESULTS = Path(__file__).parent / "tpu_aot"
TOPOLOGIES = {8: "v5e:2x4", 64: "v5e:8x8", 256: "v5e:16x16"}
CROP = 256

# https://cloud.google.com/tpu/docs/v5e: per chip, in bfloat16. Convolutions of float32
# arrays run in bfloat16 passes there, one by default.
PEAK_FLOPS = 197e12
PEAK_MEMORY = 819e9
PEAK_LINKS = 200e9
MEMORY = 16e9

MODELS: dict[str, TransformSettings] = {
    "minnen 192/320": minnen.SIZES["192-320"],
    "cheng 192": cheng.SIZES["192"],
    "swint M": swin.SIZES["M"],
    "tiny": minnen.Minnen(width=8, channels=8),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A train step to compile."""

    model: str
    batch: int = 16
    """Images a chip."""
    dtype: str = "bfloat16"
    sharding: str = "data"
    chips: int = 8
    forms: str = "tpu"
    """Of convolutions: those for TPUs, or `other`, those for other devices."""
    crop: int = CROP

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        values = dataclasses.astuple(self)
        name = "-".join(
            str(value).replace(" ", "-").replace("/", "-") for value in values
        )
        return RESULTS / f"{name}.json"


def table_programs() -> list[Program]:
    """What the tables are made of, the most telling first."""
    minnen_, cheng_, swin_ = (name for name in MODELS if name != "tiny")
    cells = [
        (model, dtype, sharding)
        for sharding in ("data", "fsdp")
        for dtype in ("bfloat16", "float32")
        for model in (minnen_, cheng_, swin_)
    ]
    return [
        Program(model=minnen_, forms="other"),
        *(Program(model=minnen_, chips=chips) for chips in TOPOLOGIES),
        *(
            Program(model=model, batch=batch, dtype=dtype, sharding=sharding)
            for model, dtype, sharding in cells
            for batch in (16, 8)
        ),
    ]


def main(print_only: bool = False, compile_one: str | None = None) -> None:
    """Compiles what is missing, and prints the tables.

    Args:
      print_only: Do not compile; leave out what is missing.
      compile_one: Compile this program, given as JSON, and print its result.
    """
    if compile_one is not None:
        print(json.dumps(measure(Program(**json.loads(compile_one)))))
        return
    wanted = list(dict.fromkeys(table_programs()))
    for number, program in enumerate(wanted, 1):
        if not print_only and not program.path.exists():
            print(f"{number} of {len(wanted)}: {program.path.stem}", file=sys.stderr)
            compile_to_file(program)
    results = {p: json.loads(p.path.read_text()) for p in wanted if p.path.exists()}
    print_programs(results)
    print_forms(results)
    print_scaling(results)


def compile_to_file(program: Program) -> None:
    """Compiles in a process of its own: the compiler keeps what it needed."""
    described = json.dumps(dataclasses.asdict(program))
    done = subprocess.run(
        [sys.executable, __file__, "--compile-one", described],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if "Error: " in line]
        print(f"  does not compile: {' '.join(reasons[-1:])}", file=sys.stderr)
        return
    RESULTS.mkdir(exist_ok=True)
    result = json.loads(done.stdout.splitlines()[-1])
    program.path.write_text(json.dumps(result, indent=1) + "\n")


def measure(program: Program) -> dict:
    """Compiles a program and reads off what it does on each chip."""
    start = time.perf_counter()
    compiled = compile_step(program)
    seconds = time.perf_counter() - start
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    assert costs is not None and memory is not None
    found = program_traffic.operations(compiled.as_text() or "")
    return {
        **dataclasses.asdict(program),
        "jax": jax.__version__,
        "libtpu": importlib.metadata.version("libtpu"),
        "seconds_to_compile": round(seconds),
        "flops": costs["flops"],
        "bytes_by_the_compiler": costs["bytes accessed"],
        "memory_traffic": sum(operation.memory for operation in found),
        "collectives": program_traffic.collectives(found),
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "program_bytes": memory.generated_code_size_in_bytes,
    }


def compile_step(program: Program) -> jax.stages.Compiled:
    """The real train step, sharded over the chips of a topology."""
    if program.forms == "other":
        choose = lambda *arguments, default, **_: default(*arguments)
        jax.lax.platform_dependent = choose
    topology = topologies.get_topology_desc(
        platform="tpu", topology_name=TOPOLOGIES[program.chips]
    )
    shape = {"data": MeshShape(), "fsdp": MeshShape(data=1, fsdp=-1)}
    mesh = meshes.make_mesh(shape[program.sharding], topology.devices)
    recipe = Recipe(
        codec=CodecSettings(transforms=MODELS[program.model]),
        objective=Objective(window=min(7, program.crop // 16 - 1)),
        optimizer=Optimizer(),
        step=Step(transform_dtype=program.dtype),  # pyright: ignore (from JSON)
        steps=1_000_000,
    )
    initial = lambda key: initial_state(recipe, codec.initialize(recipe.codec, key))
    everywhere = NamedSharding(mesh, PartitionSpec())
    whole = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere)
    key = jax.eval_shape(lambda: jax.random.key(0))
    arguments = jax.tree.map(whole, (recipe.objective.weights, key))
    state = meshes.place_abstract(jax.eval_shape(initial, key), mesh)
    images = jax.ShapeDtypeStruct(
        (program.batch * program.chips, program.crop, program.crop, 3),
        jnp.uint8,
        sharding=meshes.batch_sharding(mesh),
    )
    with jax.set_mesh(mesh):
        return train_step.lower(state, images, *arguments, recipe=recipe).compile()


def occupied(result: dict) -> float:
    """Bytes of memory of a chip while the step runs."""
    parts = ("argument_bytes", "temporary_bytes", "program_bytes")
    return sum(result[part] for part in parts)


def roofline(result: dict) -> tuple[float, float, float]:
    """Seconds of arithmetic, of memory traffic, and of communication."""
    links = 0.0
    for kind, each in result["collectives"].items():
        # Of an all-reduce, every byte leaves and comes back once in a ring.
        links += each["bytes"] * (2 if kind == "all-reduce" else 1) / PEAK_LINKS
    return (
        result["flops"] / PEAK_FLOPS,
        result["memory_traffic"] / PEAK_MEMORY,
        links,
    )


def predicted_seconds(result: dict) -> float:
    """Of a step, if nothing overlaps with communication."""
    arithmetic, memory, links = roofline(result)
    return max(arithmetic, memory) + links


def print_programs(results: dict[Program, dict]) -> None:
    """Prints a line for each model, type and sharding."""
    print("Train step on 8 chips of TPU v5e, crops of 256x256, predicted, per chip")
    print(
        f"{'model':16}{'type':10}{'split':6}{'GFLOP':>7}{'MB':>6}{'MB':>7}{'MB':>7}"
        f"{'ms':>7}{'ms':>7}{'ms':>7}{'images/s':>9}{'arith.':>8}{'largest':>8}"
    )
    print(
        f"{'':32}{'/image':>7}{'/img':>6}{'links':>7}{'held':>7}{'arith':>7}"
        f"{'memory':>7}{'links':>7}{'per chip':>9}{'of peak':>8}{'batch':>8}"
    )
    for program, result in results.items():
        if program.chips != 8 or program.batch != 16 or program.forms != "tpu":
            continue
        arithmetic, memory, links = roofline(result)
        seconds = predicted_seconds(result)
        sent = sum(each["bytes"] for each in result["collectives"].values())
        half = results.get(dataclasses.replace(program, batch=8))
        print(
            f"{program.model:16}{program.dtype:10}{program.sharding:6}"
            f"{result['flops'] / program.batch / 1e9:7.1f}"
            f"{result['memory_traffic'] / program.batch / 1e6:6.0f}"
            f"{sent / 1e6:7.0f}{occupied(result) / 1e6:7.0f}"
            f"{1e3 * arithmetic:7.1f}{1e3 * memory:7.1f}{1e3 * links:7.2f}"
            f"{program.batch / seconds:9.0f}{arithmetic / seconds:8.0%}"
            f"{largest_batch(result, half) if half else '-':>8}"
        )


def largest_batch(full: dict, half: dict) -> int:
    """Images a chip that fit its memory, if what they take is linear."""
    images = full["batch"] - half["batch"]
    each = (occupied(full) - occupied(half)) / images
    return int((MEMORY - occupied(full)) / each) + full["batch"]


def print_forms(results: dict[Program, dict]) -> None:
    """Prints what the forms of convolutions for TPUs save."""
    print("\nForms of GDN and upsampling for TPUs, against those for other devices")
    print(f"{'model':16}{'':>8}{'MB/image':>10}{'by compiler':>13}{'GFLOP/image':>13}")
    for program, before in results.items():
        if program.forms == "tpu":
            continue
        after = results.get(dataclasses.replace(program, forms="tpu"))
        for name, result in (("other", before), ("TPU", after)):
            if result is not None:
                print(
                    f"{program.model:16}{name:>8}"
                    f"{result['memory_traffic'] / program.batch / 1e6:10.0f}"
                    f"{result['bytes_by_the_compiler'] / program.batch / 1e6:13.0f}"
                    f"{result['flops'] / program.batch / 1e9:13.1f}"
                )


def print_scaling(results: dict[Program, dict]) -> None:
    """Prints predicted images a second over more chips, with as many images on each."""
    print("\nWeak scaling, bfloat16, data-parallel, 16 images a chip, predicted")
    print(f"{'chips':>6}{'links ms':>10}{'images/s':>11}{'of 8 chips':>12}")
    base = None
    for program, result in results.items():
        if program.batch == 16 and program == Program(
            model=next(iter(MODELS)), chips=program.chips
        ):
            speed = program.batch / predicted_seconds(result)
            base = base or speed
            print(
                f"{program.chips:>6}{1e3 * roofline(result)[2]:10.2f}"
                f"{program.chips * speed:11.0f}{speed / base:12.1%}"
            )


if __name__ == "__main__":
    tyro.cli(main)
