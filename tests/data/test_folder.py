import numpy as np
import pytest
from support.image_folders import (
    SIZE,
    open_folder,
    settings,
    take_batches,
    write,
    write_damaged,
)

from jaxcorr.errors import UserError


@pytest.mark.fast
def test_unusable_files_are_skipped_and_named_once(mixed_folder, noise, caplog):
    source = open_folder(mixed_folder)
    take_batches(10, settings(), source)
    log = caplog.text
    assert "skipped 2 of 5 images" in log
    assert [log.count(name) for name in ("text.png", "small.png", "cut.jpg")] == [1] * 3
    # b.png, d.png and cut.jpg; the damage of the last shows when it is read.
    for index, expected in enumerate([noise, noise[:SIZE], noise]):
        np.testing.assert_array_equal(source[index], expected)


def test_a_warning_names_only_the_first_unusable_images(tmp_path, noise, caplog):
    write(tmp_path / "good.png", noise)
    for number in range(30):
        (tmp_path / f"{number}.png").write_text("not an image")
    open_folder(tmp_path)
    assert "skipped 30 of 31 images" in caplog.text
    assert caplog.text.count("not an image") == 20
    assert "and 10 more" in caplog.text


def test_png_webp_and_jpeg_are_read(tmp_path, noise):
    write(tmp_path / "a.png", noise)
    write(tmp_path / "b.webp", noise, lossless=True)
    write(tmp_path / "c.JPEG", np.full_like(noise, 77))
    source = open_folder(tmp_path)
    for index, expected in enumerate([noise] * 2 + [np.full_like(noise, 77)]):
        np.testing.assert_array_equal(source[index], expected)


def test_a_folder_without_usable_images_is_refused(tmp_path, noise):
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
