import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.image_folders import (
    SIZE,
    coordinates,
    settings,
    take_batches,
    write,
    write_damaged,
)

from jaxcorr.cli import main
from jaxcorr.data import sources, tfds_reader, tfds_writer
from jaxcorr.errors import UserError


def prepare(monkeypatch, folder: Path, out: Path, name: str = "one") -> int:
    arguments = ["prepare", str(folder), "--data-dir", str(out), "--name", name]
    monkeypatch.setattr(sys, "argv", ["jaxcorr", *arguments])
    try:
        main.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def open_prepared(out: Path, **changes):
    changes = {"source": "tfds:one", "directory": str(out), **changes}
    return sources.training_source(settings(**changes))


def test_a_prepared_folder_is_read_without_tensorflow(
    mixed_folder, noise, tmp_path, monkeypatch, caplog
):
    assert prepare(monkeypatch, mixed_folder, tmp_path) == 0
    assert len(caplog.messages) == 2
    assert "cut.jpg" in caplog.messages[0] and "text.png" in caplog.messages[1]
    caplog.clear()
    source = open_prepared(tmp_path)
    take_batches(10, settings(), source)
    contents = {source[index].tobytes() for index in range(3)}
    assert contents == {noise.tobytes(), noise[:SIZE].tobytes()}
    assert caplog.text.count("is 100x63 pixels, smaller") == 1
    assert "tensorflow" not in sys.modules
    assert prepare(monkeypatch, mixed_folder, tmp_path) == 2, "exists already"


def test_gray_records_become_rgb_and_damaged_records_are_skipped(
    tmp_path, noise, monkeypatch
):
    write(tmp_path / "in" / "gray.png", noise[..., 0])
    write_damaged(tmp_path / "in" / "cut.jpg", noise)
    monkeypatch.setattr(tfds_writer, "encode_image_file", Path.read_bytes)
    assert prepare(monkeypatch, tmp_path / "in", tmp_path) == 0
    source = open_prepared(tmp_path)
    gray = np.repeat(noise[..., :1], 3, axis=-1)
    np.testing.assert_array_equal([source[0], source[1]], [gray, gray])


def test_a_data_set_that_cannot_be_read_is_refused(tmp_path, noise, monkeypatch):
    write(tmp_path / "in" / "a.png", noise)
    assert prepare(monkeypatch, tmp_path / "in", tmp_path) == 0
    for changes, message in [
        ({"source": "tfds:no_such"}, "tfds:no_such: .* holds no data set of that name"),
        ({"split": "test"}, "tfds:one: Unknown split 'test'"),
        ({"feature": "x"}, r"8-bit images: image; .* is 'x'"),
        ({"source": "tfds:cifar10"}, "tfds build cifar10 --file_format array_record"),
        ({"crop_size": 128}, "none of 1 images in a row"),
    ]:
        with pytest.raises(UserError, match=message):
            open_prepared(tmp_path, **changes)


def test_a_folder_without_readable_images_is_not_prepared(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "empty").mkdir()
    write_damaged(tmp_path / "damaged" / "a.png", coordinates(0))
    for folder, name, message in [
        ("empty", "x", "empty holds no image"),
        ("damaged", "x", "none of its images can be read"),
        ("damaged", "a b", "--name must be letters, digits and underscores"),
    ]:
        assert prepare(monkeypatch, tmp_path / folder, tmp_path / "out", name) == 2
        error = capsys.readouterr().err
        assert error.startswith("jaxcorr: error: ") and message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_only_files_of_upright_rgb_are_stored_unchanged(tmp_path, noise):
    plain, turned, gray = (tmp_path / x for x in ("plain.jpg", "turned.png", "g.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    write(plain, noise)
    write(turned, noise, exif=exif)
    write(gray, noise[..., 0])
    assert tfds_writer.encode_image_file(plain) == plain.read_bytes()
    with Image.open(io.BytesIO(tfds_writer.encode_image_file(turned))) as stored:
        np.testing.assert_array_equal(np.asarray(stored), np.rot90(noise, -1))
    with Image.open(io.BytesIO(tfds_writer.encode_image_file(gray))) as stored:
        assert stored.mode == "RGB"


def serialized(image: np.ndarray, **texts: str) -> bytes:
    """Returns a record of TFDS with an image and texts, written by hand."""
    from tensorflow_datasets.proto import tf_example_pb2

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    example: Any = tf_example_pb2.Example()  # pyright: ignore[reportAttributeAccessIssue]
    for name, value in {"image": buffer.getvalue(), **texts}.items():
        data = value.encode() if isinstance(value, str) else value
        example.features.feature[name].bytes_list.value.append(data)
    return example.SerializeToString()


@pytest.mark.parametrize("name", ["clic", "imagenet2012", "open_images_v4"])
def test_data_sets_of_the_catalog_are_read_by_their_own_descriptions(name, noise):
    import tensorflow_datasets as tfds

    records = [serialized(noise, file_name="a"), serialized(noise[:SIZE])]
    with tfds.testing.mock_data(as_data_source_fn=lambda *_, **__: records):
        source = open_prepared(Path("none"), source=f"tfds:{name}")
    assert len(source) == 2
    np.testing.assert_array_equal(source[0], noise)
    np.testing.assert_array_equal(source[1], noise[:SIZE])
    assert "tensorflow" not in sys.modules


@pytest.mark.slow
def test_mock_data_of_clic_is_read_as_tfds_reads_it():
    pytest.importorskip("tensorflow", reason="the extra prepare is not installed")
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=3):
        options: Any = {"split": "train", "directory": None, "feature": None}
        source = tfds_reader.TFDSReader("clic", **options)
        expected: Any = tfds.data_source("clic", split="train")
        assert len(source) == len(expected) == 3
        for number in range(3):
            np.testing.assert_array_equal(source[number], expected[number]["image"])


def test_an_orientation_that_means_nothing_leaves_a_file_unchanged(tmp_path, noise):
    for orientation in (0, 1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        write(tmp_path / "a.jpg", noise, exif=exif)
        stored = tfds_writer.encode_image_file(tmp_path / "a.jpg")
        assert stored == (tmp_path / "a.jpg").read_bytes()


def test_hidden_colors_of_a_record_are_white_as_in_a_folder(noise):
    """A data set of others may hold transparent images."""
    from tensorflow_datasets.proto import tf_example_pb2

    buffer = io.BytesIO()
    hidden = np.dstack([noise, np.zeros(noise.shape[:2], np.uint8)])
    Image.fromarray(hidden).save(buffer, "PNG")
    example = tf_example_pb2.Example()  # pyright: ignore[reportAttributeAccessIssue]
    example.features.feature["image"].bytes_list.value.append(buffer.getvalue())
    reader = object.__new__(tfds_reader.TFDSReader)
    vars(reader).update(_feature="image", _records=[example.SerializeToString()])
    assert (reader[0] == 255).all()
