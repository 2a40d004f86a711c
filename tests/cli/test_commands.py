import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr import files, run_directory, saved_model
from jaxcorr.bitstream import compression
from jaxcorr.bitstream.container import VERSION, Container
from jaxcorr.provenance import Provenance

SIZES = {"small": (17, 33), "tall": (120, 40)}


@pytest.fixture
def photos(tmp_path):
    """Two photographs in the working directory."""
    for name, size in SIZES.items():
        Image.fromarray(blocks(*size)).save(tmp_path / f"{name}.png")
    return [f"{name}.png" for name in SIZES]


@pytest.fixture
def run_of_tiny_model(tiny_model, tmp_path):
    """A run with two checkpoints, of which the first is the better one."""
    for step, loss in ((100, 1.0), (200, 2.0)):
        folder = tmp_path / "run" / "checkpoints" / str(step) / "models" / "0"
        folder.mkdir(parents=True)
        model = saved_model.make_model(
            tiny_model.config,
            tiny_model.parameters,
            median=tiny_model.median + step,
            provenance=Provenance(step=step, held_out_loss=loss),
        )
        saved_model.write_model_files(folder, model)
    return "run"


@pytest.mark.fast
def test_images_become_files_beside_them_and_come_back(jaxcorr, model_path, photos):
    status, out, err = jaxcorr("compress", *photos, "-m", model_path)
    assert status == 0
    assert err.startswith("jaxcorr: 2 of 2 files written in ") and err.count("\n") == 1
    lines = out.splitlines()
    assert lines[0].startswith("small.png -> small.jxc: ")
    assert f"{os.path.getsize('small.jxc')} bytes" in lines[0]
    files = ["small.jxc", "tall.jxc"]
    status, out, err = jaxcorr("decompress", *files, "-m", model_path, "-o", "back")
    assert status == 0 and err.startswith("jaxcorr: 2 of 2 files written in ")
    assert out.splitlines()[1].startswith("tall.jxc -> back/tall.png: 40 x 120, ")
    assert sorted(os.listdir()) == ["back", *sorted([*photos, *files])]
    for name, (height, width) in SIZES.items():
        with Image.open(f"back/{name}.png") as image:
            assert image.size == (width, height)


def test_a_single_file_may_have_any_name_and_folder(jaxcorr, model_path, photos):
    assert jaxcorr("compress", photos[0], "-m", model_path, "-o", "a/b.bin")[0] == 0
    assert jaxcorr("decompress", "a/b.bin", "-m", model_path, "-o", "a/c.jpg")[0] == 0
    assert jaxcorr("decompress", "a/b.bin", "-m", model_path, "-o", "a")[0] == 0
    assert sorted(os.listdir("a")) == ["b.bin", "b.png", "c.jpg"]


def test_files_come_back_in_another_process_with_their_sizes(
    model_path, photos, tmp_path
):
    """Runs the installed command, with its cache of compiled programs."""
    command = Path(sys.executable).with_name("jaxcorr")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "JAX_PLATFORMS": "cpu",
    }

    def run(*arguments):
        process = subprocess.run(
            [command, *arguments, "-m", model_path, "--quiet"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (process.returncode, process.stderr) == (0, "")

    run("compress", *photos)
    run("decompress", "small.jxc", "tall.jxc", "--force")
    for name, (height, width) in SIZES.items():
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == (width, height)
    assert any((tmp_path / "cache" / "jaxcorr").iterdir())


def test_fast_arithmetic_is_noted_in_the_file(jaxcorr, model_path, photos):
    assert jaxcorr("compress", photos[0], "-m", model_path, "--fast")[0] == 0
    assert "arithmetic  fast\n" in jaxcorr("info", "small.jxc")[1]
    assert jaxcorr("decompress", "small.jxc", "-m", model_path, "--force")[0] == 0


@pytest.mark.fast
def test_info_prints_the_header(jaxcorr, tiny_model):
    coded = compression.compress(blocks(17, 33), tiny_model)
    Path("small.jxc").write_bytes(coded)
    status, out, err = jaxcorr("info", "small.jxc")
    assert (status, err) == (0, "")
    container = Container.from_bytes(coded, "small.jxc")
    y, z = len(container.y_payload), len(container.z_payload)
    assert out.splitlines() == [
        f"format      {VERSION}",
        "size        33 x 17 pixels",
        f"bytes       {44 + y + z}: 44 header, {z} side information, {y} latents",
        f"bpp         {8 * len(coded) / (17 * 33):.4f}",
        f"model       {tiny_model.fingerprint.hex()}, not in the store",
        "arithmetic  portable",
        "grid offset 0",
    ]


@pytest.mark.fast
def test_a_converted_image_is_reported(jaxcorr, model_path):
    deep = blocks(17, 33)[..., 0].astype(np.uint16) * 257
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(deep).save("deep.png", exif=turned)
    status, _, err = jaxcorr("compress", "deep.png", "-m", model_path)
    assert status == 0
    changes = "16 bits rounded to 8, turned upright as its EXIF data says"
    assert err == f"jaxcorr: deep.png: {changes}\n"


def test_a_packed_run_is_a_model_folder(jaxcorr, run_of_tiny_model):
    status, out, err = jaxcorr("pack", run_of_tiny_model, "-o", "packed")
    model = run_directory.load("packed")
    assert (status, err) == (0, "")
    assert out == f"packed: model {model.fingerprint.hex()}, step 100\n"
    assert sorted(os.listdir("packed")) == [
        "config.json",
        "parameters.safetensors",
        "tables.npz",
    ]


def test_another_checkpoint_can_replace_a_packed_one(jaxcorr, run_of_tiny_model):
    pack = "pack", run_of_tiny_model, "-o", "packed"
    assert jaxcorr(*pack)[0] == 0
    assert jaxcorr(*pack, "--checkpoint", "newest", "--force")[0] == 0
    assert run_directory.load("packed").provenance.step == 200


@pytest.mark.fast
def test_a_run_codes_with_its_best_checkpoint_or_a_given_one(
    jaxcorr, run_of_tiny_model, photos
):
    for options, step in ([], 100), (["--checkpoint", "200"], 200):
        options = ["-m", run_of_tiny_model, *options]
        assert jaxcorr("compress", photos[0], *options, "--force")[0] == 0
        model = run_directory.load(f"run/checkpoints/{step}/models/0")
        assert model.fingerprint.hex() in jaxcorr("info", "small.jxc")[1]


@pytest.mark.fast
def test_without_arguments_the_help_is_shown(jaxcorr):
    status, out, err = jaxcorr()
    assert (status, err) == (0, "")
    commands = "compress", "decompress", "evaluate", "info", "pack", "export"
    for name in commands:
        assert f"{name} " in out


@pytest.mark.fast
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "compress",
            ["IMAGE|DIR…", "-m MODEL|RUN[@MEMBER]", "-o PATH", "--fast", "--force"],
        ),
        ("decompress", ["FILE|DIR…", "-m MODEL|RUN[@MEMBER]", "-o PATH", "--force"]),
        (
            "evaluate",
            [
                *("IMAGE|DIR…", "-m MODEL|RUN[@MEMBER]", "--codec jpeg|"),
                *("--quality NUMBER…", "--json FILE", "--fast"),
            ],
        ),
        ("show", ["IMAGE", "-m MODEL|RUN[@MEMBER]", "-o PATH", "--channel", "--force"]),
        ("report", ["RUN|FILE…", "-o DIR", "--images IMAGE|DIR…", "--anchor CURVE"]),
        ("info", ["FILE|DIR…", "--json FILE"]),
        ("pack", ["RUN", "-o PATH", "--checkpoint newest|best|STEP", "--force"]),
        ("import-compressai", ["WEIGHTS", "--architecture {mbt", "-o PATH", "--force"]),
        (
            "export",
            ["--stablehlo", "--onnx", "--size HEIGHT WIDTH", "-o DIR", "--force"],
        ),
    ],
)
def test_the_help_of_a_command_names_its_arguments(jaxcorr, command, words):
    status, out, _ = jaxcorr(command, "--help")
    assert status == 0
    for word in words:
        assert word in out, word
    assert "None" not in out
    # A docstring of several paragraphs is indented in Python 3.12.
    description = out.partition("All commands take")[0]
    assert "\n " not in description and "\n\n\n" not in description


@pytest.mark.fast
def test_a_mistyped_command_or_option_exits_with_2(jaxcorr):
    for line in (["compres"], ["show", "a", "b"], ["info", "a", "--forse"]):
        status, out, err = jaxcorr(*line)
        assert (status, out) == (2, "") and "Traceback" not in err and err


@pytest.mark.fast
def test_ctrl_c_ends_without_a_traceback(jaxcorr, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "read_file", interrupt)
    assert jaxcorr("info", "a.jxc") == (130, "", "jaxcorr: interrupted\n")


@pytest.mark.fast
def test_a_command_ends_quietly_when_the_reader_of_its_output_has_ended():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "jaxcorr", "--help"],
            stdout=output,
            stderr=subprocess.PIPE,
        )
    assert (done.returncode, done.stderr) == (141, b"")
