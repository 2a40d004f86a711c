import dataclasses

import pytest

from jaxcorr.evaluation import formatting, measure
from jaxcorr.evaluation.measure import ImageMetrics

pytestmark = pytest.mark.fast

METRICS = [
    "file",
    "width",
    "height",
    "bytes",
    "bpp",
    "bpp_estimated",
    "bpp_y",
    "bpp_z",
    "bpp_header",
    "psnr_db",
    "ms_ssim",
    "correlation",
    "encode_seconds",
    "decode_seconds",
]
"""Keys of an image in JSON, in order."""
FULL = ImageMetrics(
    file="a.png",
    width=100,
    height=50,
    bytes=1000,
    bpp=1.6,
    psnr_db=30.0,
    ms_ssim=0.9,
    correlation=0.5,
    encode_seconds=1.0,
)
EMPTY = ImageMetrics(
    file="b.png", width=300, height=50, bytes=2000, bpp=0.4, psnr_db=32.0
)


def test_a_mean_is_over_the_images_that_have_a_value():
    means = measure.mean_metrics([FULL, EMPTY])
    assert list(means) == METRICS[1:]
    assert means["bpp"] == pytest.approx(1.0)
    assert means["psnr_db"] == pytest.approx(31.0)
    assert means["correlation"] == 0.5
    assert means["decode_seconds"] is None


def test_the_table_has_one_line_per_image_and_a_line_of_means():
    table, _, note = formatting.as_text([FULL, EMPTY]).partition("\n\n")
    lines = table.splitlines()
    assert len(lines) == 6
    assert " ".join(note.split()) == (
        "MS-SSIM is the mean of 1 of 2 images with at least 161 pixels a side, which "
        "take 1.6000 bpp."
    )
    assert lines[0].split()[:5] == ["file", "bytes", "bpp", "estimated", "bpp"]
    assert lines[2].split()[:4] == ["a.png", "1000", "1.6000", "-"]
    assert lines[5].startswith("mean of 2   1500  1.0000")
    assert len({len(line.rstrip()) for line in lines}) == 1


@pytest.mark.parametrize("width", [160, 120, 100, 80, 60, 45])
def test_the_table_fits_the_terminal(width):
    full = {"bpp_y": 1.0, "bpp_z": 0.1, "bpp_header": 0.01, "decode_seconds": 1.0}
    name = "a/folder/with/a/very/long/name/of/a/photograph.png"
    rows = [dataclasses.replace(row, **full) for row in (FULL, EMPTY)]
    rows.append(dataclasses.replace(rows[0], file=name))
    text = formatting.as_text(rows, width=width)
    assert max(map(len, text.splitlines())) <= width
    heading, *_, means = text.partition("\n\n")[0].splitlines()
    assert "bpp" in heading and "PSNR dB" in heading
    assert means.startswith("mean of 3")
    assert "photograph.png" in text
    assert ("header bpp" in heading) == (width >= 160)
    if width >= 80:
        assert {"MS-SSIM", "corr.", "enc."} & set(heading.split())


def test_a_narrow_table_leaves_out_columns_without_a_value_first():
    rows = [EMPTY]
    assert "y bpp" in formatting.as_text(rows)
    assert "y bpp" in formatting.as_text(rows, width=200)
    heading = formatting.as_text(rows, width=80).splitlines()[0]
    assert heading.split() == ["file", "bytes", "bpp", "PSNR", "dB"]


def test_names_are_neither_markup_nor_cut_in_wide_characters():
    rows = [
        dataclasses.replace(FULL, file=name)
        for name in ("[bold]a[/bold].png", "東京タワーの夜景と富士山.png")
    ]
    assert all(row.file in formatting.as_text(rows) for row in rows)
    narrow = formatting.as_text(rows, width=40)
    assert "[/bold].png" in narrow and "山.png" in narrow


def test_headings_have_the_units():
    headings = {column.name: column.heading for column in formatting.COLUMNS}
    for name, unit in {"psnr": "dB", "seconds": "s", "bpp": "bpp"}.items():
        measured = [text for field, text in headings.items() if name in field]
        assert measured and all(unit in text.split() for text in measured)


def test_columns_are_metrics():
    assert {column.name for column in formatting.COLUMNS} <= {*METRICS}
