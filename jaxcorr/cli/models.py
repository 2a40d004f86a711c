"""Commands that make model folders, or turn them into something else."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import files, run_directory, saved_model
from jaxcorr.cli.arguments import (
    Checkpoint,
    ExportFolder,
    Force,
    ModelPath,
    NewModelPath,
    Run,
    argument,
)
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai, stablehlo

Weights = Annotated[
    Positional[Path], argument("WEIGHTS", "State dict: .pth, or .pth.tar.")
]
Architecture = Annotated[
    compressai.Architecture, tyro.conf.arg(help="What the weights are of.")
]
AsStableHlo = Annotated[
    bool,
    tyro.conf.arg(name="stablehlo", help="Functions that JAX runs without jaxcorr."),
]


def pack(
    run: Run,
    output: NewModelPath,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Copies the model of a run into a folder of its own."""
    _check_target(output, force=force)
    model = run_directory.load(run, checkpoint=checkpoint)
    saved_model.write_model(output, model)
    known = model.provenance.step
    step = "" if known is None else f", step {known}"
    print(f"{output}: model {model.fingerprint.hex()}{step}")


def import_compressai(
    weights: Weights,
    architecture: Architecture,
    output: NewModelPath,
    force: Force = False,
) -> None:
    """Turns weights of CompressAI into a model folder; needs torch."""
    _check_target(output, force=force)
    state = compressai.read_state(weights)
    model = compressai.convert(state, architecture, name=str(weights))
    saved_model.write_model(output, model)
    transforms = model.config.transforms
    count = sum(array.size for array in model.parameters.values())
    print(
        f"{output}: model {model.fingerprint.hex()}, {architecture}, "
        f"{transforms.side_channels} hidden and {transforms.channels} latent channels, "
        f"{count:,} parameters"
    )


def export(
    model: ModelPath,
    output: ExportFolder,
    as_stablehlo: AsStableHlo = False,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Writes what a model computes in a form that other programs run."""
    if not as_stablehlo:
        raise UserError("name a format: --stablehlo")
    stablehlo.check_target(output, force=force)
    loaded = run_directory.load(model, checkpoint=checkpoint)
    written = stablehlo.write_export(output, loaded)
    for each in written:
        print(f"{each.name:28} {each.size / 1e6:6.2f} MB  {each.seconds:5.2f} s")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(
        f"{output}: model {loaded.fingerprint.hex()}, {len(written)} functions for any "
        f"size of image, {size / 1e6:.2f} MB in "
        f"{sum(each.seconds for each in written):.1f} s"
    )


def _check_target(output: Path, *, force: bool) -> None:
    is_model = (output / saved_model.CONFIG).is_file()
    files.check_folder(output, "a model folder", is_kind=is_model, force=force)
