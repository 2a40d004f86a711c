"""Learned image compression in JAX with the correlation loss of Ali et al. 2023.

The public names are those of `jaxcorr.__all__`. Modules of the package are internal and
may change in any version, unless the docstring of their sub-package says otherwise.

    import jaxcorr

    model = jaxcorr.load("demo")  # Or a run, or a model folder.
    data = jaxcorr.compress("photograph.png", model)
    image = jaxcorr.decompress(data, model)
    output = model.analyze("photograph.png")  # Latents, their predictions and bits.

    run = jaxcorr.train("quickstart")
    jaxcorr.evaluate("photographs", run)

Names are imported at their first use, so `import jaxcorr` loads no other module.
"""

import importlib as _importlib
import sys as _sys
import typing as _typing

if _typing.TYPE_CHECKING:
    from jaxcorr.bitstream.compression import compress, decompress
    from jaxcorr.branch import branch_config
    from jaxcorr.codec import Codec, CodecConfig
    from jaxcorr.codec_output import CodecOutput
    from jaxcorr.config import TrainConfig
    from jaxcorr.config_files import load_config
    from jaxcorr.context.autoregressive import Autoregressive
    from jaxcorr.context.channelwise import Channelwise
    from jaxcorr.context.checkerboard import Checkerboard
    from jaxcorr.context.no_context import NoContext
    from jaxcorr.context.space_channel import SpaceChannel
    from jaxcorr.correlation import (
        correlation_loss,
        correlation_map,
        masked_norm,
        normalize,
    )
    from jaxcorr.correlation_variants import (
        averaged_norm,
        context_mask,
        natural_weight,
        unbiased_correlation_loss,
    )
    from jaxcorr.data.augmentation import AugmentationConfig
    from jaxcorr.data.sources import DataConfig
    from jaxcorr.errors import UserError
    from jaxcorr.evaluation.evaluate import evaluate
    from jaxcorr.hosts.cluster import DistributedConfig
    from jaxcorr.model import Model
    from jaxcorr.neighbors.bound import bound
    from jaxcorr.quantization import AdditiveNoise, SoftRounding, StraightThrough
    from jaxcorr.run_directory import load
    from jaxcorr.saved_model import save
    from jaxcorr.trainer import train
    from jaxcorr.training.checkpoints import IntervalConfig
    from jaxcorr.training.loss import LossConfig, LossWeights
    from jaxcorr.training.optimizer import OptimizerConfig
    from jaxcorr.training.sharding import MeshConfig
    from jaxcorr.training.stages import StageConfig
    from jaxcorr.training.step_config import StepConfig
    from jaxcorr.training.sweep import SweepConfig
    from jaxcorr.transforms.cheng import Cheng
    from jaxcorr.transforms.minnen import Minnen
    from jaxcorr.transforms.swin import Swin
    from jaxcorr.whitening import neighbor_moments, whitening_bits, whitening_loss

__version__: str

__all__ = [
    "AdditiveNoise",
    "AugmentationConfig",
    "Autoregressive",
    "Channelwise",
    "Checkerboard",
    "Cheng",
    "Codec",
    "CodecConfig",
    "CodecOutput",
    "DataConfig",
    "DistributedConfig",
    "IntervalConfig",
    "LossConfig",
    "LossWeights",
    "MeshConfig",
    "Minnen",
    "Model",
    "NoContext",
    "OptimizerConfig",
    "SoftRounding",
    "SpaceChannel",
    "StageConfig",
    "StepConfig",
    "StraightThrough",
    "SweepConfig",
    "Swin",
    "TrainConfig",
    "UserError",
    "averaged_norm",
    "bound",
    "branch_config",
    "compress",
    "context_mask",
    "correlation_loss",
    "correlation_map",
    "decompress",
    "evaluate",
    "load",
    "load_config",
    "masked_norm",
    "natural_weight",
    "neighbor_moments",
    "normalize",
    "save",
    "train",
    "unbiased_correlation_loss",
    "whitening_bits",
    "whitening_loss",
]

_MODULES = {
    "AdditiveNoise": "quantization",
    "AugmentationConfig": "data.augmentation",
    "Autoregressive": "context.autoregressive",
    "Channelwise": "context.channelwise",
    "Checkerboard": "context.checkerboard",
    "Cheng": "transforms.cheng",
    "Codec": "codec",
    "CodecConfig": "codec",
    "CodecOutput": "codec_output",
    "DataConfig": "data.sources",
    "DistributedConfig": "hosts.cluster",
    "IntervalConfig": "training.checkpoints",
    "LossConfig": "training.loss",
    "LossWeights": "training.loss",
    "MeshConfig": "training.sharding",
    "Minnen": "transforms.minnen",
    "Model": "model",
    "NoContext": "context.no_context",
    "OptimizerConfig": "training.optimizer",
    "SoftRounding": "quantization",
    "SpaceChannel": "context.space_channel",
    "StageConfig": "training.stages",
    "StepConfig": "training.step_config",
    "StraightThrough": "quantization",
    "SweepConfig": "training.sweep",
    "Swin": "transforms.swin",
    "TrainConfig": "config",
    "UserError": "errors",
    "averaged_norm": "correlation_variants",
    "bound": "neighbors.bound",
    "branch_config": "branch",
    "compress": "bitstream.compression",
    "context_mask": "correlation_variants",
    "correlation_loss": "correlation",
    "correlation_map": "correlation",
    "decompress": "bitstream.compression",
    "evaluate": "evaluation.evaluate",
    "load": "run_directory",
    "load_config": "config_files",
    "masked_norm": "correlation",
    "natural_weight": "correlation_variants",
    "neighbor_moments": "whitening",
    "normalize": "correlation",
    "save": "saved_model",
    "train": "trainer",
    "unbiased_correlation_loss": "correlation_variants",
    "whitening_bits": "whitening",
    "whitening_loss": "whitening",
}
"""Module of each public name, relative to the package."""


def __getattr__(name: str) -> _typing.Any:
    """Returns a public name, and imports its module."""
    if name == "__version__":
        metadata = _importlib.import_module("importlib.metadata")
        try:
            return metadata.version(__name__)
        except metadata.PackageNotFoundError:
            return "unknown"  # The package lies on the path, but is not installed.
    if name not in _MODULES:
        raise AttributeError(
            f"module 'jaxcorr' has no attribute {name!r}",
            name=name,
            obj=_sys.modules[__name__],
        )
    extras = _importlib.import_module("jaxcorr.extras")
    _importlib.import_module("jaxcorr.versions").check_packages()
    with extras.needs_extra("train", f"jaxcorr.{name}"):
        module = _importlib.import_module(f"jaxcorr.{_MODULES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    """Returns the public names, for tab completion."""
    return [*__all__, "__all__", "__doc__", "__version__"]
