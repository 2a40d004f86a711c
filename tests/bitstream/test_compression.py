"""`jaxcorr.compress` and `jaxcorr.decompress` take images and files in many forms."""

import shutil
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

import jaxcorr
from jaxcorr import run_directory, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast
IMAGE = blocks(17, 33)


@pytest.fixture(scope="module")
def data(tiny_model):
    """The bytes of a file of `IMAGE`."""
    return coding.encode(tiny_model, IMAGE)[0].to_bytes()


@pytest.fixture(scope="module")
def decoded(tiny_model, data):
    return jaxcorr.decompress(data, tiny_model)


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image,
        Image.fromarray,
        jnp.asarray,
        lambda image: image.astype(np.float64) / 255,
        lambda image: jnp.asarray(image, jnp.float32) / 255,
        lambda image: image.astype(np.uint16) * 257,
        lambda image: np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]),
    ],
)
def test_an_image_in_any_form_gives_the_same_bytes(tiny_model, data, convert):
    assert jaxcorr.compress(convert(IMAGE), tiny_model) == data


def test_an_image_and_a_model_may_be_paths(model_path, data, tmp_path, decoded):
    path = tmp_path / "photo.png"
    Image.fromarray(IMAGE).save(path)
    named = jaxcorr.compress(path, model_path)
    assert jaxcorr.compress(str(path), str(model_path)) == named
    assert named.endswith(b"tiny")  # The name of the model folder.
    assert jaxcorr.compress(path, model_path, with_model_name=False) == data
    (tmp_path / "photo.jxc").write_bytes(data)
    for file in (tmp_path / "photo.jxc", str(tmp_path / "photo.jxc")):
        np.testing.assert_array_equal(jaxcorr.decompress(file, model_path), decoded)


def test_lists_give_lists_in_order(tiny_model, data, decoded):
    other = blocks(20, 20, seed=1)
    files = jaxcorr.compress([other, Image.fromarray(IMAGE)], tiny_model)
    assert files == [jaxcorr.compress(other, tiny_model), data]
    images = jaxcorr.decompress(files, tiny_model)
    assert [image.shape for image in images] == [(20, 20, 3), (17, 33, 3)]
    np.testing.assert_array_equal(images[1], decoded)
    assert jaxcorr.compress([], tiny_model) == jaxcorr.decompress([], tiny_model) == []


def test_bytes_of_any_type_are_decoded(tiny_model, data, decoded):
    for kind in (bytearray, memoryview):
        image = jaxcorr.decompress(kind(data), tiny_model)
        np.testing.assert_array_equal(image, decoded)


def test_the_order_of_version_0_2_works_and_warns(tiny_model, data, decoded):
    with pytest.warns(DeprecationWarning, match=r": compress\(image, model\)$"):
        assert jaxcorr.compress(tiny_model, IMAGE) == data  # pyright: ignore
    with pytest.warns(DeprecationWarning, match=r": decompress\(data, model\)$"):
        image = jaxcorr.decompress(tiny_model, data)  # pyright: ignore
    np.testing.assert_array_equal(image, decoded)


def test_the_demo_is_the_default_model(tiny_model, data):
    file = jaxcorr.compress(IMAGE)
    demo = jaxcorr.load()
    assert file[8:16] == demo.fingerprint
    np.testing.assert_array_equal(
        jaxcorr.decompress(file), jaxcorr.decompress(file, demo)
    )
    fingerprint = tiny_model.fingerprint.hex()
    message = rf"^photo\.jxc was made with model {fingerprint}, which is not in the st"
    with pytest.raises(UserError, match=message):
        jaxcorr.decompress(data, name="photo.jxc")


def test_a_model_is_read_once_until_its_files_change(model_path, tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_path, folder)
    first = run_directory.load_once(folder)
    assert run_directory.load_once(str(folder)) is first
    other = saved_model.make_model(
        tiny_model.config, tiny_model.parameters, median=tiny_model.median + 1
    )
    saved_model.write_model(folder, other)
    assert run_directory.load_once(folder).fingerprint == other.fingerprint


def call(function, *arguments: Any):
    return function(*arguments)


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (jaxcorr.compress, None, r"the image must be a path, .* of type NoneType"),
        (jaxcorr.compress, [IMAGE, [1]], r"image 2 of 2 must be .* of type list"),
        (jaxcorr.decompress, IMAGE, r"the file must be given by .* of type ndarray"),
    ],
)
def test_an_image_or_a_file_of_another_type_is_named(
    tiny_model, function, value, message
):
    with pytest.raises(TypeError, match=f"^{message}$"):
        call(function, value, tiny_model)
    with pytest.raises(TypeError, match=r"of type Codec: give Model.from_codec"):
        call(function, value, tiny_model.codec())
    with pytest.raises(TypeError, match=r"^`model` must be a Model or .* of type int$"):
        call(function, value, 3)


def test_a_file_that_does_not_exist_is_named(tiny_model):
    with pytest.raises(UserError, match=r"^gone\.png cannot be read as an image: No"):
        jaxcorr.compress("gone.png", tiny_model)
    with pytest.raises(UserError, match=r"^gone\.jxc cannot be read: No such file"):
        jaxcorr.decompress("gone.jxc", tiny_model)
    with pytest.raises(UserError, match=r"^gone is not a directory"):
        jaxcorr.compress(IMAGE, "gone")
