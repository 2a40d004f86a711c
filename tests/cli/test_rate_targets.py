"""`jaxcorr compress --bpp | --psnr | --size`, and decoding with several models."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from support import codecs
from support.codecs import blocks

from jaxcorr import model_store, run_directory, saved_model
from jaxcorr.bitstream import compression

pytestmark = pytest.mark.fast
SWEEP = "-m", "sweep", "--no-model-name"
IMAGES = {"large": blocks(120, 100), "small": blocks(40, 20, seed=1)}


@pytest.fixture(scope="session")
def models():
    return codecs.make_rates()


@pytest.fixture(scope="session")
def written(models, tmp_path_factory):
    return codecs.write_sweep(tmp_path_factory.mktemp("sweeps") / "sweep", models)


@pytest.fixture
def photos(written, tmp_path):
    """A sweep and two images in the working directory."""
    shutil.copytree(written, tmp_path / "sweep")
    for name, image in IMAGES.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    return [f"{name}.png" for name in IMAGES]


@pytest.fixture(scope="session")
def sizes(models):
    """Sizes of the files of each image, by the number of the model."""
    return {
        name: [len(compression.compress(image, model)) for model in models]
        for name, image in IMAGES.items()
    }


def test_each_image_is_coded_with_a_member_and_decoded_with_the_sweep(
    jaxcorr, photos, sizes
):
    limit = sizes["large"][1]
    status, out, err = jaxcorr("compress", *photos, *SWEEP, "--size", limit)
    assert status == 0 and err.startswith("jaxcorr: 2 of 2 files written in ")
    first, second = out.splitlines()
    bpp = 8 * limit / IMAGES["large"][..., 0].size
    assert first.startswith(
        f"large.png -> large.jxc: sweep@1, {limit} of {limit} bytes, {bpp:.4f} bpp, "
    )
    size = sizes["small"][2]
    assert second.startswith(
        f"small.png -> small.jxc: sweep@2, {size} of {limit} bytes, "
    )
    assert Path("large.jxc").stat().st_size == limit
    for arguments in (["large.jxc", "small.jxc"], ["."]):
        options = ["-m", "sweep", "-o", "back", "--force"]
        status, out, err = jaxcorr("decompress", *arguments, *options)
        assert status == 0 and out.count("-> back/") == 2
        assert err.startswith("jaxcorr: 2 of 2 files written in ")


def test_the_line_says_how_close_a_rate_or_a_psnr_came(jaxcorr, photos, sizes):
    options = [*SWEEP, "--force"]
    bpp = 8 * sizes["large"][0] / IMAGES["large"][..., 0].size
    _, out, _ = jaxcorr("compress", "large.png", *options, "--bpp", bpp)
    assert f": sweep@0, {bpp:.4f} of {bpp:g} bpp, {sizes['large'][0]} bytes, " in out
    _, out, _ = jaxcorr("compress", "large.png", *options, "--psnr", "9.6")
    size = sizes["large"][1]
    assert f": sweep@1, 9.62 of 9.6 dB, {size} bytes, 0.2507 bpp, " in out


def test_an_impossible_target_of_one_image_leaves_the_others(jaxcorr, photos, sizes):
    limit = sizes["small"][0]
    Path("bad.png").write_text("hello")
    inputs = [photos[0], "bad.png", photos[1]]
    status, out, err = jaxcorr("compress", *inputs, *SWEEP, "--size", limit)
    assert status == 2
    assert out.count("\n") == 1 and out.startswith("small.png -> small.jxc: sweep@0")
    first, second, _ = err.splitlines()
    assert first.startswith(
        f"jaxcorr: error: no model codes large.png in at most {limit} bytes: files of "
        f"the 3 models take from about {sizes['large'][0]} to "
    )
    assert "bad.png is not an image" in second
    assert not Path("large.jxc").exists()


def test_models_may_be_a_folder_of_model_folders_or_named_one_by_one(
    jaxcorr, photos, models, sizes
):
    for number, model in enumerate(models):
        saved_model.write_model(Path("set") / str(number), model)
    for names, chosen in {
        ("set",): "set@1",
        ("set@0", "set/1", "sweep@2"): "set/1",
        ("set@2", "sweep"): "sweep@1",
    }.items():
        options = [word for name in names for word in ("-m", name)]
        _, out, err = jaxcorr(
            *("compress", "large.png", *options, "--force", "--no-model-name"),
            *("--size", sizes["large"][1]),
        )
        assert f": {chosen}, " in out and err == ""
        status, _, _ = jaxcorr("decompress", "large.jxc", *options, "--force")
        assert status == 0
    status, _, err = jaxcorr("compress", "large.png", "-m", "set", "--force")
    assert status == 2 and "set holds 3 models; choose one of its members: set@0" in err


def test_the_packaged_models_are_members_of_the_demo(
    jaxcorr, photos, models, sizes, monkeypatch, tmp_path
):
    packaged = tmp_path / "site-packages" / "demo"
    for number, model in enumerate(models):
        saved_model.write_model(packaged / str(number), model)
    monkeypatch.setattr(model_store, "PACKAGED_DEMO", packaged)
    fingerprints = [model.fingerprint for model in models]
    assert run_directory.model_paths("demo") == ["demo@0", "demo@1", "demo@2"]
    for number, fingerprint in enumerate(fingerprints):
        assert run_directory.load(f"demo@{number}").fingerprint == fingerprint
    assert run_directory.load("demo").fingerprint == fingerprints[1]
    limit = sizes["large"][0]
    options = "large.png", "--size", limit, "--no-model-name"
    status, out, _ = jaxcorr("compress", *options)
    assert status == 0 and ": demo@0, " in out
    assert jaxcorr("decompress", "large.jxc", "--force")[0] == 0
    assert jaxcorr("compress", "large.png", "--force")[0] == 0
    assert jaxcorr("decompress", "large.jxc", "--force")[0] == 0
    status, _, err = jaxcorr("compress", "large.png", "-m", "demo@3", "--force")
    assert status == 2 and "demo has no member 3, only 0, 1, 2" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bpp", "1", "--psnr", "30"], "give one of bpp, psnr and size, not bpp and"),
        (["--bpp", "0"], "bpp must be a positive number, but is 0.0"),
        (["--size", "20 apples"], "size must be a number of bytes, as in"),
        (
            [],
            "sweep is a sweep; choose one of its members: sweep@0, sweep@1, sweep@2, "
            "or give a target (bpp, psnr or size) that chooses for each image",
        ),
    ],
)
def test_a_bad_target_is_refused_before_any_work(jaxcorr, photos, options, message):
    status, out, err = jaxcorr("compress", *photos, "-m", "sweep", *options)
    assert (status, out, err.count("\n")) == (2, "", 1) and message in err


def test_a_file_of_none_of_the_models_is_named(jaxcorr, photos, tiny_model):
    Path("a.jxc").write_bytes(compression.compress(IMAGES["small"], tiny_model))
    status, _, err = jaxcorr("decompress", "a.jxc", "-m", "sweep")
    assert status == 2 and "not with one of 3 models (sweep): give that model" in err
