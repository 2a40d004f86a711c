import math

import pytest

from jaxcorr.bitstream import rate_target
from jaxcorr.bitstream.rate_target import RatePoint, RateTarget
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (20000, 20000),
        ("20000", 20000),
        ("20000B", 20000),
        ("20KB", 20000),
        ("20kb", 20000),
        ("20 KiB", 20480),
        ("1.5MB", 1_500_000),
        (".5MiB", 524_288),
        ("2gb", 2_000_000_000),
    ],
)
def test_a_size_is_a_number_of_bytes_or_of_a_unit(size, expected):
    assert rate_target.make_target(size=size) == RateTarget("size", float(expected))


@pytest.mark.parametrize("size", ["", "KB", "20K", "1,5MB", "-1KB", "1e3", "20KB!"])
def test_another_size_is_refused_with_examples(size):
    message = rf"size must be a number of bytes, as in .* but is '{size}'$"
    with pytest.raises(UserError, match=message):
        rate_target.make_target(size=size)


@pytest.mark.parametrize("kind", ["bpp", "psnr", "size"])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_a_target_is_a_positive_number(kind, value):
    message = rf"^{kind} must be a positive number, but is {value}$"
    with pytest.raises(UserError, match=message):
        rate_target.make_target(**{kind: value})


def test_at_most_one_target_is_given():
    assert rate_target.make_target() is None
    with pytest.raises(UserError, match=r"^give one of .*, not bpp and psnr$"):
        rate_target.make_target(bpp=0.5, psnr=34)


def test_a_limit_is_met_exactly_at_it():
    pixels = 17 * 33
    for size in range(80, 120):
        bpp = 8 * size / pixels
        point = RatePoint(bytes=float(size), bpp=bpp, psnr_db=31.7)
        assert RateTarget("bpp", bpp).excess_db(point) <= 0
        assert RateTarget("bpp", bpp * (1 - 1e-12)).excess_db(point) > 0
        assert RateTarget("size", float(size)).excess_db(point) <= 0
        assert RateTarget("size", size - 1e-6).excess_db(point) > 0
        assert RateTarget("psnr", 31.7).excess_db(point) <= 0
        assert RateTarget("psnr", 31.700001).excess_db(point) > 0
