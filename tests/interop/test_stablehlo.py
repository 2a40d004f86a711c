"""Exports run in a process without jaxcorr, with the results of jaxcorr."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import skimage
from jax import export
from support import codecs
from support.paths import SCRIPTS

import jaxcorr as package
from jaxcorr import images
from jaxcorr.bitstream import coding
from jaxcorr.errors import UserError
from jaxcorr.interop import stablehlo

PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"
CODED = [("minnen", context) for context in codecs.CONTEXTS]
OTHERS = [("cheng", "checkerboard"), ("swin", "channelwise")]


pytestmark = pytest.mark.usefixtures("no_shape_checks")


@pytest.fixture(scope="module")
def photograph():
    """Neither side holds whole latents, or whole elements of side information."""
    return images.read_image(PHOTOGRAPH)[0][100:205, 60:230]


@pytest.fixture(scope="module")
def models():
    return {pair: codecs.make_combination(*pair) for pair in CODED}


@pytest.fixture(scope="module")
def coded(models, photograph):
    """Files and latents of the context models, with one kind of transforms."""
    return {pair: coding.encode(model, photograph) for pair, model in models.items()}


@pytest.fixture(scope="module")
def folder(models, coded, photograph, tmp_path_factory):
    """Folder of exports, each beside its inputs `given.npz`."""
    folder = tmp_path_factory.mktemp("exports")
    write_exports(folder, models, photograph, coded)
    return folder


def write_exports(folder, models, photograph, coded):
    for pair, model in models.items():
        place = folder / "-".join(pair)
        stablehlo.write_export(place / "export", model)
        given = {"photograph": photograph}
        if pair in coded:
            container, latents = coded[pair]
            given |= {
                "side_symbols": latents.side_symbols,
                "symbols": latents.symbols,
                "offset": np.int32(container.offset),
            }
        np.savez(place / "given.npz", **given)


@pytest.fixture(scope="module")
def results(folder):
    """Results of the exports in another process."""
    return run_exports(folder, CODED)


def run_exports(folder, pairs):
    done = subprocess.run(
        [sys.executable, SCRIPTS / "reload_export.py", folder],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {
        pair: dict(np.load(folder / "-".join(pair) / "found.npz")) for pair in pairs
    }


on_each = pytest.mark.parametrize("pair", CODED, ids=["-".join(pair) for pair in CODED])


@on_each
def test_reconstruction_and_bits_are_those_of_the_codec(
    models, results, photograph, pair
):
    assert_equal(results[pair], models[pair], photograph)


@pytest.mark.slow
def test_exports_of_other_transforms_compute_what_the_codec_does(photograph, tmp_path):
    models = {pair: codecs.make_combination(*pair) for pair in OTHERS}
    write_exports(tmp_path, models, photograph, coded={})
    for pair, found in run_exports(tmp_path, OTHERS).items():
        assert_equal(found, models[pair], photograph)


def assert_equal(found, model, photograph):
    image = photograph[None].astype(np.float32) / 255
    run = jax.jit(lambda image: model.shared_codec(image, median=model.median))
    output = run(image)
    reconstruction = np.asarray(output.reconstruction[0])
    error = np.abs(found["reconstruction"] - reconstruction).max()
    bits = float(output.latent_bits.sum() + output.side_bits.sum())
    assert (
        reconstruction.std() > 0.02 and np.unique(np.round(output.quantized)).size > 4
    )
    assert error < 1e-5
    assert found["bits"] == pytest.approx(bits, rel=1e-5)


@on_each
def test_decoding_by_the_readme_gives_the_latents_of_a_file(coded, results, pair):
    _, latents = coded[pair]
    for name in ("mean", "latent_hat"):
        np.testing.assert_array_equal(results[pair][name], getattr(latents, name))
    np.testing.assert_allclose(results[pair]["scale"], latents.scale, rtol=1e-10)


@on_each
def test_tables_give_the_size_of_a_file(coded, results, pair):
    container, _ = coded[pair]
    for bits, payload in (
        (results[pair]["y_bits"], container.y_payload),
        (results[pair]["z_bits"], container.z_payload),
    ):
        assert abs(8 * len(payload) - bits) < 64 + 0.001 * bits


def test_an_export_takes_a_batch_of_images(folder, models):
    pair = "minnen", "none"
    data = (folder / "-".join(pair) / "export/analysis.jaxexport").read_bytes()
    batch = np.stack([codecs.blocks(64, 64, seed) for seed in range(3)]) / np.float32(
        255
    )
    latents = jax.jit(export.deserialize(bytearray(data)).call)(batch)
    model = models[pair]
    expected = jax.jit(model.shared_codec.transforms.analysis)(batch)
    np.testing.assert_allclose(latents, expected, rtol=0, atol=1e-4)
    assert np.abs(np.diff(expected, axis=0)).max() > 0.1


def test_jax_refuses_sides_that_are_not_multiples_of_64(folder):
    data = (folder / "minnen-none/export/analysis.jaxexport").read_bytes()
    call = export.deserialize(bytearray(data)).call
    with pytest.raises(ValueError, match="Division had remainder 32"):
        call(np.zeros((1, 64, 96, 3), np.float32))


def test_config_lists_the_inputs_and_outputs_of_functions(folder):
    place = folder / "minnen-channelwise/export"
    config = json.loads((place / "config.json").read_text())["export"]
    files = [x.relative_to(place).with_suffix("") for x in place.rglob("*.jaxexport")]
    assert sorted(config["functions"]) == sorted(map(str, files))
    for name, described in config["functions"].items():
        data = (place / f"{name}.jaxexport").read_bytes()
        exported = export.deserialize(bytearray(data))
        assert list(map(str, exported.in_avals)) == list(described["inputs"].values())
        assert list(map(str, exported.out_avals)) == list(described["outputs"].values())
        coding_ = name.startswith("float64/")
        assert exported.platforms == ("cpu", "cuda", "tpu")[: 2 if coding_ else 3]
        assert all("float64" in x for x in described["outputs"].values()) == coding_
        assert (
            exported.calling_convention_version == config["calling_convention_version"]
        )


def test_exports_are_reproducible_and_hold_no_local_path(models, folder, tmp_path):
    first = folder / "minnen-checkerboard/export"
    stablehlo.write_export(tmp_path / "again", models["minnen", "checkerboard"])
    place = str(Path(package.__file__).parent).encode()
    files = [x for x in first.rglob("*.*") if x.is_file() and x.suffix != ".npz"]
    assert files  # NPZ files hold the time of writing.
    for file in files:
        again = tmp_path / "again" / file.relative_to(first)
        assert file.read_bytes() == again.read_bytes()
        assert place not in file.read_bytes()


def test_command_writes_an_export_and_lists_its_functions(
    jaxcorr, model_path, tiny_model
):
    status, out, err = jaxcorr("export", "--stablehlo", "-m", model_path, "-o", "new")
    assert (status, err) == (0, "")
    *lines, last = out.splitlines()
    written = [line.split()[0] for line in lines]
    assert written == [
        "analysis",
        "hyper_analysis",
        "side_bits",
        "hyper_synthesis",
        "context",
        "latent_bits",
        "synthesis",
        "float64/hyper_synthesis",
        "float64/predict_0",
    ]
    sizes = [Path(f"new/{name}.jaxexport").stat().st_size for name in written]
    assert [line.split()[1] for line in lines] == [f"{x / 1e6:.2f}" for x in sizes]
    assert last.startswith(f"new: model {tiny_model.fingerprint.hex()}, 9 functions")
    assert sorted(os.listdir("new")) == sorted(
        ["README.md", "config.json", "tables.npz", "float64"]
        + [f"{name}.jaxexport" for name in written if "/" not in name]
    )
    page = Path("new/README.md").read_text()
    for line in page.splitlines():
        assert "$" not in line
    for name in written:
        assert f"| `{name}` |" in page
    with np.load("new/tables.npz") as tables:
        np.testing.assert_array_equal(tables["median"], tiny_model.median)


def test_an_export_is_not_a_model_and_replaces_none(jaxcorr, model_path, tmp_path):
    command = "export", "--stablehlo", "-m", model_path, "-o"
    assert jaxcorr(*command, "new")[0] == 0
    assert jaxcorr("pack", model_path, "-o", "packed")[0] == 0
    Path("home").mkdir()
    Path("file").touch()
    for arguments, message in {
        (*command, "new"): "new exists; give --force to replace it",
        (*command, "packed", "--force"): "packed exists and is not an export",
        (*command, "home", "--force"): "home exists and is not an export",
        (*command, "file", "--force"): "cannot write file/README.md: ",
        (*command, "file/new"): "cannot write file/new/README.md: ",
        ("pack", model_path, "-o", "new"): "new exists; give --force to replace it",
        ("export", "-m", model_path, "-o", "other"): "name one format: --stablehlo, "
        "for JAX without jaxcorr, or --onnx, for ONNX Runtime and others",
        (*command, "other", "--onnx"): "name one format: --stablehlo",
        (*command, "other", "--size", "64", "64"): "--size needs --onnx; StableHLO",
        ("export", "--stablehlo", "-m", "nowhere", "-o", "other"): "nowhere is not a",
        ("export", "--stablehlo", "-m", "new", "-o", "other"): "new: model folder of "
        "format stablehlo-1, but this jaxcorr reads formats 1 and 2",
    }.items():
        status, out, err = jaxcorr(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1), arguments
        assert err.startswith(f"jaxcorr: error: {message}")
    assert sorted(os.listdir()) == ["file", "home", "new", "packed"]
    assert jaxcorr(*command, "new", "--force")[0] == 0


def test_a_full_disk_leaves_no_partial_export(tiny_model, tmp_path, monkeypatch):
    write_bytes, left = Path.write_bytes, [3]

    def until_full(path, data):
        left[0] -= 1
        if not left[0]:
            raise OSError(28, os.strerror(28))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", until_full)
    with pytest.raises(UserError, match=r"cannot write .*new: No space left"):
        stablehlo.write_export(tmp_path / "new", tiny_model)
    assert os.listdir(tmp_path) == []
