import dataclasses
import json

import pytest

from jaxcorr.evaluation import formatting, measure
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.evaluation.metadata import ModelMetadata

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
    lines = formatting.as_text([FULL, EMPTY]).splitlines()
    assert len(lines) == 6
    assert lines[0].split()[:3] == ["file", "bytes", "bpp"]
    assert lines[2].split()[:4] == ["a.png", "1000", "1.6000", "-"]
    assert lines[5].startswith("mean of 2   1500  1.0000")
    assert len({len(line) for line in lines}) == 1


def test_json_contains_every_metric_and_null_for_missing_values():
    read = json.loads(formatting.as_json([FULL, EMPTY], ModelMetadata(path="run")))
    assert list(read) == ["model", "images", "mean"]
    assert read["model"] == {"path": "run"}
    assert [list(row) for row in read["images"]] == [METRICS, METRICS]
    assert read["images"][0] == dataclasses.asdict(FULL)
    assert read["images"][1]["ms_ssim"] is None
    assert list(read["mean"]) == METRICS[1:]


def test_columns_are_metrics():
    assert {column.name for column in formatting.COLUMNS} <= {*METRICS}
