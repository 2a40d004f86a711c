"""ONNX exports give the results of jaxcorr in ONNX Runtime, without JAX."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jaxtyping import config
from support import codecs
from support.paths import SCRIPTS

from jaxcorr.errors import UserError
from jaxcorr.interop import exported_functions, onnx_export
from jaxcorr.layers import implementations

pytestmark = pytest.mark.fast

EXPORTED = [
    *(("minnen", context) for context in codecs.CONTEXTS),
    ("cheng", "checkerboard"),
    ("swin", "channelwise"),
]
SIZES = {"swin": (128, 192)}
"""Size of the images of the exports that need one."""


@pytest.fixture(scope="module", autouse=True)
def _types_unchecked():
    """An export has symbols for sides, which jaxtyping cannot broadcast."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def jax2onnx():
    reason = "the extra `onnx` is missing: ONNX is not tested"
    with onnx_export._quiet():
        return pytest.importorskip("jax2onnx", reason=reason)


@pytest.fixture(scope="module")
def models():
    return {pair: codecs.make_combination(*pair) for pair in EXPORTED}


@pytest.fixture(scope="module")
def photograph():
    """Neither side holds whole latents; padded, it has the size in `SIZES`."""
    return codecs.blocks(105, 170)


@pytest.fixture(scope="module")
def folder(jax2onnx, models, photograph, tmp_path_factory):
    """Folder of exports, each beside the photograph that it is to code."""
    folder = tmp_path_factory.mktemp("exports")
    for pair, model in models.items():
        place = folder / "-".join(pair)
        size = SIZES.get(pair[0])
        onnx_export.write_export(place / "export", model, size=size)
        if pair[1] != "autoregressive":  # The README describes its order in words.
            np.save(place / "photograph.npy", photograph)
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """Results of the exports in another process."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "run_onnx.py", folder],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def named(pairs):
    return pytest.mark.parametrize(
        "pair", pairs, ids=["-".join(pair) for pair in pairs]
    )


@named([pair for pair in EXPORTED if pair[1] != "autoregressive"])
def test_the_readme_gives_the_reconstruction_and_bits_of_the_codec(
    models, results, photograph, pair
):
    model = models[pair]
    image = photograph[None].astype(np.float32) / 255
    output = jax.jit(lambda image: model.shared_codec(image, median=model.median))(
        image
    )
    expected = np.asarray(output.reconstruction[0])
    with np.load(results / "-".join(pair) / "found.npz") as found:
        assert expected.std() > 0.02
        assert_near(found["reconstruction"], expected)
        bits = float(output.latent_bits.sum() + output.side_bits.sum())
        assert found["bits"] == pytest.approx(bits, rel=1e-5)


def assert_near(found, expected):
    """Asserts agreement to 1e-5, or of the largest value if that is above 1."""
    tolerance = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def arguments_of(function, sizes):
    """Returns random inputs of a function, for the values of the free sizes."""
    rng = np.random.default_rng(0)
    for shape in function.inputs.values():
        shape = [eval(side, {}, sizes) for side in shape.split(", ")]
        yield rng.normal(size=shape).astype(np.float32)


@named(EXPORTED)
def test_each_function_gives_the_values_of_jax(models, folder, pair):
    onnxruntime = pytest.importorskip("onnxruntime")
    batches = [{"b": 3, "h": 2, "w": 3, "n": 5}, {"b": 1, "h": 1, "w": 4, "n": 1}]
    functions = exported_functions.evaluation_functions(models[pair])
    functions |= exported_functions.coding_functions(models[pair])
    names = {path.stem for path in (folder / "-".join(pair) / "export").glob("*.onnx")}
    assert names == set(functions) - {"context", "latent_bits"}
    for name in names:
        path = folder / "-".join(pair) / "export" / f"{name}.onnx"
        session = onnxruntime.InferenceSession(path)
        for sizes in batches[: 1 if pair[0] in SIZES else 2]:
            arguments = list(arguments_of(functions[name], sizes))
            inputs = zip(functions[name].inputs, arguments, strict=True)
            found = session.run(list(functions[name].outputs), dict(inputs))
            expected = jax.tree.leaves(jax.jit(functions[name].function)(*arguments))
            for ours, theirs in zip(expected, found, strict=True):
                assert_near(theirs, ours)


def test_config_and_files_describe_the_export(jax2onnx, models, folder):
    onnx = pytest.importorskip("onnx")
    for pair, size, image in (
        (("minnen", "checkerboard"), None, "float32[b,64*h,64*w,3]"),
        (("swin", "channelwise"), [128, 192], "float32[b,128,192,3]"),
    ):
        place = folder / "-".join(pair) / "export"
        config = json.loads((place / "config.json").read_text())
        assert config["format"] == "onnx-1"
        export = config["export"]
        assert (export["opset"], export["size"]) == (20, size)
        assert export["functions"]["analysis"]["inputs"] == {"image": image}
        for name in export["functions"]:
            model = onnx.load(place / f"{name}.onnx")
            onnx.checker.check_model(model, full_check=True)
            assert [(x.domain, x.version) for x in model.opset_import] == [("", 20)]
            properties = {x.key: x.value for x in model.metadata_props}
            assert properties == {
                "model": models[pair].fingerprint.hex(),
                "function": name,
            }
        with np.load(place / "tables.npz") as tables:
            np.testing.assert_array_equal(tables["median"], models[pair].median)


def test_layers_are_those_of_cpus_wherever_the_export_is_written(
    jax2onnx, models, folder, tmp_path
):
    with implementations.forced(implementations.BY_PLATFORM["tpu"]):
        onnx_export.write_export(
            tmp_path / "again", models["minnen", "none"], size=None
        )
    for path in (folder / "minnen-none" / "export").glob("*.onnx"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert os.fsencode(Path(onnx_export.__file__).parent) not in path.read_bytes()


def test_command_writes_an_export_and_lists_its_functions(
    jax2onnx, jaxcorr, model_path, tiny_model
):
    command = "export", "--onnx", "-m", model_path, "-o", "new"
    status, out, err = jaxcorr(*command, "--size", "64", "128")
    assert (status, err) == (0, "")
    *lines, last = out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "analysis",
        "hyper_analysis",
        "side_bits",
        "hyper_synthesis",
        "predict_0",
        "synthesis",
    ]
    start = (
        f"new: model {tiny_model.fingerprint.hex()}, 6 functions for images of 64x128"
    )
    assert last.startswith(start)
    assert "$" not in Path("new/README.md").read_text()
    status, out, err = jaxcorr(*command)
    message = "jaxcorr: error: new exists; give --force to replace it, or another -o\n"
    assert (status, out, err) == (2, "", message)
    # An export of another format is replaced too.
    assert jaxcorr("export", "--stablehlo", *command[2:], "--force")[0] == 0
    assert not list(Path("new").glob("*.onnx"))


def test_an_operator_that_jax2onnx_lacks_gives_one_line(
    jax2onnx, monkeypatch, tiny_model, tmp_path
):
    def to_onnx(*arguments, **options):
        raise NotImplementedError("no plugin for `scan`\nsee the manual")

    monkeypatch.setattr(jax2onnx, "to_onnx", to_onnx)
    message = (
        r"^jax2onnx \S+ cannot convert analysis with jax \S+: NotImplementedError: no "
        r"plugin for `scan`$"
    )
    with pytest.raises(UserError, match=message):
        onnx_export.write_export(tmp_path / "new", tiny_model, size=None)
    assert os.listdir(tmp_path) == []


def test_error_without_jax2onnx_names_the_extra(jaxcorr, model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    status, out, err = jaxcorr("export", "--onnx", "-m", model_path, "-o", "new")
    message = (
        "the ONNX export needs jax2onnx, which is not installed: pip install "
        "'jaxcorr[onnx]'"
    )
    assert (status, out, err) == (2, "", f"jaxcorr: error: {message}\n")
    assert not Path("new").exists()


def test_sizes_that_cannot_be_exported_are_refused(models, tmp_path):
    for pair, size, message in (
        (("swin", "channelwise"), None, "the windows of Swin transforms need a size"),
        (
            ("minnen", "none"),
            (64, 100),
            "--size must be multiples of 64, .* is 64 100$",
        ),
        (("minnen", "none"), (0, 64), "--size must be multiples of 64, .* is 0 64$"),
    ):
        with pytest.raises(UserError, match=message):
            onnx_export.write_export(tmp_path / "new", models[pair], size=size)
    assert os.listdir(tmp_path) == []
