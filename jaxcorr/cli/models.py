"""Commands that write model folders and export models."""

from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import files, paths, run_directory, saved_model
from jaxcorr.cli.arguments import (
    Checkpoint,
    ExportFolder,
    Force,
    ModelPath,
    NewModelPath,
    Run,
    UserPath,
    argument,
)
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai, export_folder, onnx_export, stablehlo
from jaxcorr.paths import AnyPath

Weights = Annotated[
    Positional[UserPath],
    argument("WEIGHTS", "State dict of CompressAI, a .pth or .pth.tar file."),
]
Architecture = Annotated[
    compressai.Architecture, tyro.conf.arg(help="Architecture of the weights.")
]
Raw = Annotated[
    bool,
    tyro.conf.arg(
        help="Take the parameters of the last step, not their average over steps."
    ),
]
Half = Annotated[
    bool,
    tyro.conf.arg(
        help="Round parameters to 16 bits, for half the size: another model, whose "
        "files need it."
    ),
]
AsStableHlo = Annotated[
    bool,
    tyro.conf.arg(
        name="stablehlo",
        help="Write StableHLO functions, which JAX runs without jaxcorr.",
    ),
]
AsOnnx = Annotated[
    bool,
    tyro.conf.arg(
        name="onnx", help="Write ONNX functions, which ONNX Runtime runs without JAX."
    ),
]
Size = Annotated[
    onnx_export.Size | None,
    argument(
        "HEIGHT WIDTH",
        "The only size of images of an ONNX export, in multiples of 64 pixels.",
        hint="(default: any size)",
    ),
]


def pack(
    run: Run,
    output: NewModelPath,
    checkpoint: Checkpoint = "best",
    raw: Raw = False,
    half: Half = False,
    force: Force = False,
) -> None:
    """Copies the model of a run to a model folder."""
    _check_target(output, force=force)
    if raw:
        from jaxcorr import train_states  # Imports Orbax.

        model = train_states.raw_model(run, checkpoint=checkpoint)
    else:
        model = run_directory.load(run, checkpoint=checkpoint)
    if half:
        model = saved_model.round_to_half(model)
    saved_model.write_model(output, model)
    step = model.provenance.step
    suffix = "" if step is None else f", step {step}"
    print(f"{output}: model {model.fingerprint.hex()}{suffix}")


def import_compressai(
    weights: Weights,
    architecture: Architecture,
    output: NewModelPath,
    force: Force = False,
) -> None:
    """Converts weights of CompressAI to a model folder."""
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
    as_onnx: AsOnnx = False,
    size: Size = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Exports the functions of a model to a format that other programs can run."""
    if as_stablehlo == as_onnx:
        raise UserError(
            "name one format: --stablehlo, for JAX without jaxcorr, or --onnx, for "
            "ONNX Runtime and others"
        )
    if size is not None and not as_onnx:
        raise UserError("--size needs --onnx; StableHLO functions take any size")
    export_folder.check_target(output, force=force)
    loaded = run_directory.load(model, checkpoint=checkpoint)
    if as_onnx:
        functions = onnx_export.write_export(output, loaded, size=size)
    else:
        functions = stablehlo.write_export(output, loaded)
    for function in functions:
        megabytes = function.size / 1e6
        print(f"{function.name:28} {megabytes:6.2f} MB  {function.seconds:5.2f} s")
    images = "any size of image" if size is None else f"images of {size[0]}x{size[1]}"
    total = sum(map(paths.size_of, paths.files_below(output)))
    print(
        f"{output}: model {loaded.fingerprint.hex()}, {len(functions)} functions for "
        f"{images}, {total / 1e6:.2f} MB in "
        f"{sum(function.seconds for function in functions):.1f} s"
    )


def _check_target(output: AnyPath, *, force: bool) -> None:
    is_model = (output / saved_model.CONFIG).is_file()
    files.check_folder(output, "a model folder", is_kind=is_model, force=force)
