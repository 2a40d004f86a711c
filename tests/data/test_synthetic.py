"""Synthetic drawings depend on the random generator alone, and vary."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxcorr.data import sheet, synthetic

KINDS = [
    synthetic.draw_shapes,
    synthetic.draw_strokes,
    synthetic.draw_field,
    synthetic.draw_chart,
    synthetic.draw_window,
    synthetic.draw_page,
]


def drawings(count: int, size: int = 64) -> list[np.ndarray]:
    return [
        synthetic.random_drawing(np.random.default_rng(seed), size=size)
        for seed in range(count)
    ]


@pytest.mark.fast
def test_a_drawing_depends_on_its_generator_alone():
    first = drawings(24)
    np.testing.assert_array_equal(drawings(24), first)
    assert len({drawing.tobytes() for drawing in first}) == 24


@pytest.mark.fast
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_fills_sheets_of_every_size(kind):
    rng = np.random.default_rng(0)
    for size in (64, 128, 320):
        for unit in (1, 2):
            blank = sheet.blank_sheet(rng, size=size, unit=unit)
            kind(blank)
            assert blank.image.size == (size * unit, size * unit)


def test_drawings_are_varied_in_color_and_detail():
    pictures = drawings(120, size=128)
    saturation = [np.ptp(picture, axis=-1).mean() for picture in pictures]
    kilobytes = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        kilobytes.append(len(file.getvalue()) / 1000)
    assert np.quantile(saturation, 0.2) < 40 and np.quantile(saturation, 0.8) > 80
    assert np.quantile(kilobytes, 0.2) < 3 and np.quantile(kilobytes, 0.8) > 5
    flat = [np.ptp(picture, axis=(0, 1)).max() < 8 for picture in pictures]
    assert np.mean(flat) < 0.05, "few are of one color"
