import io
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcorr import images
from jaxcorr.cli import main
from jaxcorr.data import built_in, pipeline, sources, tfds_writer
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError

SIZE = 64


def settings(**changes) -> DataConfig:
    return DataConfig(**{"crop_size": SIZE, "batch_size": 4, **changes})


def coordinates(number: int, height: int = 80, width: int = 96) -> np.ndarray:
    """An image whose pixels say where they are, and in which image."""
    image = np.full((height, width, 3), number, np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


SOURCE: Any = [coordinates(number) for number in range(3)]


def take(count: int, data: DataConfig, source=SOURCE, **where) -> list[np.ndarray]:
    iterator = pipeline.batches(source, data, **where)
    taken = [next(iterator) for _ in range(count)]
    iterator.close()
    return taken


def write(path: Path, image: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)


def write_damaged(path: Path, image: np.ndarray) -> None:
    """Writes a file whose header is whole and whose pixels are not."""
    write(path, image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def open_folder(folder: Path):
    return sources.training_source(settings(source=f"folder:{folder}"))


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(90, 100, 3), dtype=np.uint8)


@pytest.fixture
def mixed_folder(tmp_path, noise) -> Path:
    """Two good images, and three that each fail in their own way."""
    folder = tmp_path / "photographs"
    write(folder / "b.png", noise)
    write(folder / "below" / "d.png", noise[:SIZE])
    write(folder / "small.png", noise[: SIZE - 1])
    (folder / "text.png").write_text("not an image")
    write_damaged(folder / "cut.jpg", noise)
    return folder


@pytest.mark.fast
def test_batch_is_a_function_of_seed_and_number():
    first = take(6, settings())
    np.testing.assert_array_equal(take(2, settings(), start=4), first[4:])
    assert not np.array_equal(take(1, settings(seed=1))[0], first[0])


def test_batch_is_the_same_with_workers():
    alone = take(5, settings(), start=2)
    for workers in (1, 2):
        iterator = pipeline.batches(SOURCE, settings(workers=workers), start=2)
        shared = [next(iterator) for _ in range(5)]
        assert len(multiprocessing.active_children()) == workers
        iterator.close()
        assert not multiprocessing.active_children()
        np.testing.assert_array_equal(shared, alone)


@pytest.mark.fast
@pytest.mark.parametrize("rows", [[0, 1], [1, 3], [2]])
def test_a_process_reads_its_rows_of_each_batch(rows):
    whole = np.array(take(3, settings(batch_size=4)))
    own = take(3, settings(batch_size=4), rows=rows)
    np.testing.assert_array_equal(own, whole[:, rows])


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_crops_and_half_are_mirrored_if_asked(flip):
    crops = np.concatenate(take(25, settings(flip=flip)))
    mirrored = crops[:, 0, 0, 1] > crops[:, 0, 1, 1]
    upright = np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)
    for crop in upright:
        top, left, number = crop[0, 0].astype(int)
        image = coordinates(number)
        expected = image[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(crop, expected)
    # 100 fair coins: 30 to 70 heads but once in 20,000 seeds, and the seed is fixed.
    assert 30 <= mirrored.sum() <= 70 if flip else mirrored.sum() == 0
    assert {0, 16} <= set(upright[:, 0, 0, 0]), "both edges are reached"


def test_every_epoch_has_every_image_once_in_other_crops():
    crops = np.concatenate(take(6, settings(batch_size=3)))
    numbers = crops[:, 0, 0, 2].reshape(6, 3)
    np.testing.assert_array_equal(np.sort(numbers), [[0, 1, 2]] * 6)
    assert len(np.unique(numbers, axis=0)) > 1
    places = {tuple(crop[0, 0]) for crop in crops}
    assert len(places) > 12


@pytest.mark.fast
def test_unusable_files_are_skipped_counted_and_named_once(mixed_folder, noise, caplog):
    source = open_folder(mixed_folder)
    take(10, settings(), source=source)
    log = caplog.text
    assert "skipped 2 of 5 images" in log
    assert [log.count(name) for name in ("text.png", "small.png", "cut.jpg")] == [1] * 3
    # b.png, d.png and cut.jpg: the last is found out when it is read.
    for index, expected in enumerate([noise, noise[:SIZE], noise]):
        np.testing.assert_array_equal(source[index], expected)


def test_only_the_first_of_many_unusable_images_are_named(tmp_path, noise, caplog):
    write(tmp_path / "good.png", noise)
    for number in range(30):
        (tmp_path / f"{number}.png").write_text("not an image")
    open_folder(tmp_path)
    assert "skipped 30 of 31 images" in caplog.text
    assert caplog.text.count("not an image") == 20
    assert "and 10 more" in caplog.text


def test_formats_of_photographs_are_read(tmp_path, noise):
    write(tmp_path / "a.png", noise)
    write(tmp_path / "b.webp", noise, lossless=True)
    write(tmp_path / "c.JPEG", np.full_like(noise, 77))
    source = open_folder(tmp_path)
    for index, expected in enumerate([noise] * 2 + [np.full_like(noise, 77)]):
        np.testing.assert_array_equal(source[index], expected)


def test_folder_without_a_usable_image_is_refused(tmp_path, noise):
    empty, small = tmp_path / "empty", tmp_path / "small"
    empty.mkdir()
    write(small / "a.png", noise[:60])
    write_damaged(tmp_path / "damaged" / "a.jpg", noise)
    for folder, message in {
        empty: "empty holds no image",
        small: r"skipped 1 of 1 images: a\.png \(100x60 pixels",
        tmp_path / "damaged": "none of 1 images in a row can be read",
        tmp_path / "missing": "missing is not a directory",
    }.items():
        with pytest.raises(UserError, match=message):
            open_folder(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": "folders:x"},
            r"DataConfig\.source must be builtin, folder:DIR or tfds",
        ),
        ({"source": "folder:"}, r"DataConfig\.source must be .* is 'folder:'"),
        ({"held_out": "chelsea"}, r"DataConfig\.held_out must be .* is 'chelsea'"),
        (
            {"crop_size": 100},
            r"DataConfig\.crop_size must be a multiple of 64, but is 100",
        ),
        ({"crop_size": 0}, r"DataConfig\.crop_size must be a multiple of 64, but is 0"),
        ({"batch_size": 0}, r"DataConfig\.batch_size must be at least 1, but is 0"),
        ({"workers": -1}, r"DataConfig\.workers must be at least 0, but is -1"),
        ({"seed": -1}, r"DataConfig\.seed must be in .* but is -1"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)


@pytest.mark.fast
def test_built_in_photographs_are_apart_from_those_held_out():
    training = sources.training_source(DataConfig())
    held_out = sources.held_out_source(DataConfig())
    assert (len(training), len(held_out)) == (15, 2)
    assert not set(built_in.TRAINING) & set(built_in.HELD_OUT)
    for index, path in enumerate(built_in.held_out_paths()):
        image, _ = images.read_image(path)
        np.testing.assert_array_equal(held_out[index], image)


def test_built_in_photographs_smaller_than_a_crop_are_left_out():
    source = sources.training_source(DataConfig(crop_size=512))
    assert 0 < len(source) < 15
    assert all(min(source[i].shape[:2]) >= 512 for i in range(len(source)))
    with pytest.raises(UserError, match="must be at most 1411"):
        sources.training_source(DataConfig(crop_size=2048))


def test_held_out_crops_are_centered_then_spread(tmp_path):
    for number in range(5):
        write(tmp_path / f"{number}.png", coordinates(number))
    data = settings(held_out=f"folder:{tmp_path}", held_out_crops=3)
    crops = pipeline.held_out_crops(data)
    np.testing.assert_array_equal(crops[:, 0, 0], [[8, 16, 0], [8, 16, 2], [8, 16, 4]])
    more = pipeline.held_out_crops(settings(held_out=data.held_out, held_out_crops=20))
    np.testing.assert_array_equal(more[:, 0, 0, 2], [0, 1, 2, 3, 4] * 4)
    assert len({tuple(crop[0, 0]) for crop in more}) == 20


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


def test_prepared_folder_is_read_through_tfds_without_tensorflow(
    mixed_folder, noise, tmp_path, monkeypatch, caplog
):
    assert prepare(monkeypatch, mixed_folder, tmp_path) == 0
    assert len(caplog.messages) == 2
    assert "cut.jpg" in caplog.messages[0] and "text.png" in caplog.messages[1]
    caplog.clear()
    source = open_prepared(tmp_path)
    take(10, settings(), source=source)
    found = {source[index].tobytes() for index in range(3)}
    assert found == {noise.tobytes(), noise[:SIZE].tobytes()}
    assert caplog.text.count("is 100x63 pixels, smaller") == 1
    assert "tensorflow" not in sys.modules
    assert prepare(monkeypatch, mixed_folder, tmp_path) == 2, "exists already"


def test_grey_or_damaged_records_are_coped_with(tmp_path, noise, monkeypatch):
    write(tmp_path / "in" / "grey.png", noise[..., 0])
    write_damaged(tmp_path / "in" / "cut.jpg", noise)
    monkeypatch.setattr(tfds_writer, "encode_image_file", Path.read_bytes)
    assert prepare(monkeypatch, tmp_path / "in", tmp_path) == 0
    source = open_prepared(tmp_path)
    grey = np.repeat(noise[..., :1], 3, axis=-1)
    np.testing.assert_array_equal([source[0], source[1]], [grey, grey])


def test_data_set_that_cannot_be_read_is_refused(tmp_path, noise, monkeypatch):
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


def test_folder_without_use_is_not_prepared(tmp_path, monkeypatch, capsys):
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


def test_only_files_of_upright_rgb_are_stored_as_they_are(tmp_path, noise):
    plain, turned, grey = (tmp_path / x for x in ("plain.jpg", "turned.png", "g.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    write(plain, noise)
    write(turned, noise, exif=exif)
    write(grey, noise[..., 0])
    assert tfds_writer.encode_image_file(plain) == plain.read_bytes()
    with Image.open(io.BytesIO(tfds_writer.encode_image_file(turned))) as stored:
        np.testing.assert_array_equal(np.asarray(stored), np.rot90(noise, -1))
    with Image.open(io.BytesIO(tfds_writer.encode_image_file(grey))) as stored:
        assert stored.mode == "RGB"
