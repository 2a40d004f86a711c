"""Compiles the train step for TPU v5e without a TPU.

Import this module before JAX: it sets the environment that the compiler needs.
"""

import dataclasses
import importlib.metadata
import os
import time
from pathlib import Path

os.environ.update(
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",  # libtpu locks a file even without a TPU.
    JAX_PLATFORMS="cpu",
    TPU_ACCELERATOR_TYPE="v5litepod-8",
    TPU_SKIP_MDS_QUERY="1",
)

import jax
import jax.numpy as jnp
import program_traffic
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxcorr import codec
from jaxcorr.codec import CodecConfig, TransformConfig
from jaxcorr.layers import implementations
from jaxcorr.training import sharding
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import (
    StaticConfig,
    StepConfig,
    TrainState,
    initial_state,
    train_step,
)
from jaxcorr.training.sweep import SweepConfig, member_weights
from jaxcorr.transforms import cheng, minnen, swin

RESULTS = Path(__file__).parent / "tpu_aot"
TOPOLOGIES = {8: "v5e:2x4", 64: "v5e:8x8", 256: "v5e:16x16"}
CROP = 256

MODELS: dict[str, TransformConfig] = {
    "minnen 192/320": minnen.SIZES["192-320"],
    "cheng 192": cheng.SIZES["192"],
    "swint M": swin.SIZES["M"],
    "tiny": minnen.Minnen(width=8, channels=8),
}

TPU = implementations.BY_PLATFORM["tpu"]
IMPLEMENTATIONS = {
    "tpu": TPU,
    "plain": dataclasses.replace(TPU, half_resolution="plain"),
    "other": implementations.DEFAULT,
}
"""Implementations of layers: those for TPUs, the same without layers over phases, and
those for other devices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A train step to compile; `batch` is the number of images per chip."""

    model: str
    batch: int = 16
    """Images per chip."""
    dtype: str = "bfloat16"
    sharding: str = "data"
    chips: int = 8
    implementations: str = "tpu"
    """Implementations of layers: a key of `IMPLEMENTATIONS`."""
    crop: int = CROP
    rematerialization: str = "none"
    """Activations that are computed again; see `jaxcorr.rematerialization`."""

    @property
    def path(self) -> Path:
        """File of the result, whose name leaves out that nothing is computed again."""
        values = dataclasses.astuple(self)
        values = values[:-1] if self.rematerialization == "none" else values
        name = "-".join(
            str(value).replace(" ", "-").replace("/", "-") for value in values
        )
        return RESULTS / f"{name}.json"


def measure(program: Program) -> dict:
    """Compiles a program and returns its costs on each chip."""
    start = time.perf_counter()
    compiled = compile_step(program)
    seconds = time.perf_counter() - start
    return {
        **dataclasses.asdict(program),
        "seconds_to_compile": round(seconds),
        **costs_of(compiled),
    }


def costs_of(compiled: jax.stages.Compiled) -> dict:
    """Returns the costs of a compiled program on each chip, and compiler versions."""
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    assert costs is not None and memory is not None
    operations = program_traffic.operations(compiled.as_text() or "")
    return {
        "jax": jax.__version__,
        "libtpu": importlib.metadata.version("libtpu"),
        "flops": costs["flops"],
        "bytes_by_the_compiler": costs["bytes accessed"],
        "cycles_by_the_compiler": sum(operation.cycles for operation in operations),
        "memory_traffic": sum(operation.memory for operation in operations),
        "collectives": program_traffic.collectives(operations),
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "program_bytes": memory.generated_code_size_in_bytes,
    }


def compile_step(program: Program) -> jax.stages.Compiled:
    """Compiles the train step, sharded over the chips of a topology."""
    forced = IMPLEMENTATIONS[program.implementations]
    shape = {"data": MeshConfig(), "fsdp": MeshConfig(data=1, fsdp=-1)}
    mesh = mesh_of(program.chips, shape[program.sharding])
    static_config = static_config_of(program)

    def initial(key: Array) -> TrainState:
        parameters = codec.initialize(static_config.codec, key)
        return initial_state(static_config, parameters)

    key = jax.eval_shape(lambda: jax.random.key(0))
    arguments = replicated((member_weights(SweepConfig().members[0]), key), mesh)
    state = sharding.shard_abstract_state(jax.eval_shape(initial, key), mesh)
    images = crops(program.batch * program.chips, program.crop, mesh)
    with jax.set_mesh(mesh), implementations.forced(forced):
        return train_step.lower(
            state, images, *arguments, static_config=static_config
        ).compile()


def static_config_of(program: Program) -> StaticConfig:
    """Returns the settings of the step."""
    return StaticConfig(
        codec=CodecConfig(transforms=MODELS[program.model]),
        loss=LossConfig(window=min(7, program.crop // 16 - 1)),
        optimizer=OptimizerConfig(),
        step=StepConfig(
            transform_dtype=program.dtype,  # pyright: ignore (from JSON)
            rematerialization=program.rematerialization,  # pyright: ignore
        ),
        steps=1_000_000,
    )


def mesh_of(chips: int, shape: MeshConfig) -> Mesh:
    """Returns a mesh of chips that are described but not present."""
    topology = topologies.get_topology_desc(
        platform="tpu", topology_name=TOPOLOGIES[chips]
    )
    return sharding.make_mesh(shape, topology.devices)


def replicated(tree: PyTree, mesh: Mesh) -> PyTree:
    """Returns the shapes of arrays that are replicated on every chip."""
    place = NamedSharding(mesh, PartitionSpec())

    def shape(array: jax.ShapeDtypeStruct | Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)

    return jax.tree.map(shape, tree)


def crops(count: int, side: int, mesh: Mesh) -> jax.ShapeDtypeStruct:
    """Returns the shape of a batch that is split over the chips."""
    return jax.ShapeDtypeStruct(
        (count, side, side, 3), jnp.uint8, sharding=sharding.batch_sharding(mesh)
    )
