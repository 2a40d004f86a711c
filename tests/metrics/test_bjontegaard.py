"""BD-rate and BD-PSNR against known answers, published values and another package."""

import dataclasses
import math

import bjontegaard as reference
import numpy as np
import pytest

from jaxcorr.errors import UserError
from jaxcorr.metrics.bjontegaard import RDSamples, bd_psnr, bd_rate
from jaxcorr.report import published, rd_curves
from jaxcorr.report.rd_curves import RDCurve, RDPoint

pytestmark = pytest.mark.fast

RATES = (0.1, 0.2, 0.4, 0.9)
QUALITIES = (27.0, 29.5, 32.0, 35.5)
ANCHOR = RDSamples(name="anchor", bpp=RATES, quality=QUALITIES)
INTERPOLATIONS = ("pchip", "akima", "cubic")
PUBLISHED = {curve.name: curve for curve in published.published_curves()}


def scaled(factor, *, gain=0.0):
    return RDSamples(
        name="test",
        bpp=tuple(factor * rate for rate in RATES),
        quality=tuple(quality + gain for quality in QUALITIES),
    )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_10_percent_fewer_bits_everywhere_are_a_bd_rate_of_minus_10(interpolation):
    difference = bd_rate(ANCHOR, scaled(0.9), interpolation=interpolation)
    assert difference.value == pytest.approx(-10)
    assert difference.overlap == pytest.approx(1)
    assert difference.warnings == ()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_half_a_decibel_more_everywhere_is_a_bd_psnr_of_half_a_decibel(interpolation):
    test = scaled(1.0, gain=0.5)
    difference = bd_psnr(ANCHOR, test, interpolation=interpolation)
    assert difference.value == pytest.approx(0.5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_swapping_anchor_and_test_inverts_the_ratio_of_rates(interpolation):
    test = RDSamples(
        name="test", bpp=(0.1, 0.25, 0.5, 1.1), quality=(28.0, 30.5, 32.5, 36.0)
    )
    forward = bd_rate(ANCHOR, test, interpolation=interpolation).value
    backward = bd_rate(test, ANCHOR, interpolation=interpolation).value
    assert (1 + forward / 100) * (1 + backward / 100) == pytest.approx(1)
    assert forward != pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    "name", ["VTM (VVC)", "JPEG (4:2:0, Pillow)", "ELIC (He 2022)"]
)
def test_differences_equal_those_of_the_bjontegaard_package(name, interpolation):
    anchor, test = (
        PUBLISHED[curve].samples(None, "psnr_db")
        for curve in ("mean-scale hyperprior", name)
    )
    arguments = (anchor.bpp, anchor.quality, test.bpp, test.quality)
    options = {"require_matching_points": False, "min_overlap": 0}
    for metric, reference_metric in (
        (bd_rate, reference.bd_rate),
        (bd_psnr, reference.bd_psnr),
    ):
        value = metric(anchor, test, interpolation=interpolation).value
        expected = reference_metric(
            *map(np.array, arguments), method=interpolation, **options
        )
        assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("anchor", "test", "percent"),
    [
        # Computed by others from the same published points, with PCHIP.
        ("mean-scale hyperprior", "mean-scale hyperprior + AR", -8.00),
        ("mean-scale hyperprior", "Cheng anchor + AR", -16.50),
        ("mean-scale hyperprior", "ChARM, 10 slices (Minnen & Singh 2020)", -17.97),
        ("mean-scale hyperprior", "Cheng + checkerboard, 6M steps (He 2021)", -17.16),
        ("Cheng anchor + AR", "Cheng + checkerboard, 6M steps (He 2021)", -0.12),
        ("scale hyperprior", "mean-scale hyperprior", -6.83),
        (
            "Minnen 2018 mean-scale (authors)",
            "Minnen 2018 + AR (authors)",
            -4.71,
        ),
    ],
)
def test_published_bd_rates_follow_from_the_published_points(anchor, test, percent):
    compared = rd_curves.compare(PUBLISHED[anchor], PUBLISHED[test], "psnr_db", "pchip")
    assert compared.rates[0] == pytest.approx(percent, abs=0.02)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (
            RDSamples(name="short", bpp=RATES[:3], quality=QUALITIES[:3]),
            "short has 3 points",
        ),
        (
            RDSamples(name="high", bpp=RATES, quality=(40.0, 41.0, 42.0, 43.0)),
            "high and anchor cannot be compared: their ranges.*do not overlap",
        ),
        (
            RDSamples(name="free", bpp=(0.0, *RATES[1:]), quality=QUALITIES),
            "free must have",
        ),
        (
            RDSamples(name="undefined", bpp=RATES, quality=(math.nan, *QUALITIES[1:])),
            "undefined must have",
        ),
        (
            RDSamples(name="twice", bpp=RATES, quality=(27.0, 29.5, 29.5, 35.5)),
            "twice has two points at the same place",
        ),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(curve, message):
    with pytest.raises(UserError, match=message):
        bd_rate(ANCHOR, curve)


def test_unequal_numbers_of_seeds_give_a_warning():
    series = {seed: PUBLISHED["VTM (VVC)"].series[None] for seed in (0, 1)}
    anchor = dataclasses.replace(PUBLISHED["VTM (VVC)"], series=series)
    test = dataclasses.replace(anchor, name="test", series={0: series[0]})
    compared = rd_curves.compare(anchor, test, "psnr_db", "pchip")
    assert compared.rates == (pytest.approx(0),)
    assert "compared in 1 seeds only" in compared.warnings[0]


def test_curves_without_a_common_rate_have_a_bd_rate():
    anchor, test = (
        RDCurve(
            name=name,
            kind="model",
            series={
                None: tuple(
                    RDPoint(bpp=factor * bpp, psnr_db=quality)
                    for bpp, quality in zip(RATES, QUALITIES, strict=True)
                )
            },
        )
        for name, factor in (("anchor", 1), ("test", 0.01))
    )
    compared = rd_curves.compare(anchor, test, "psnr_db", "pchip")
    assert compared.rates == (pytest.approx(-99),) and compared.qualities == ()


def test_overlap_of_less_than_half_the_range_gives_a_warning():
    test = RDSamples(name="test", bpp=RATES, quality=(33.0, 34.0, 37.0, 40.0))
    difference = bd_rate(ANCHOR, test)
    assert difference.overlap == pytest.approx((35.5 - 33) / (40 - 27))
    assert "test and anchor share only 19% of their range" in difference.warnings


def test_quality_that_falls_with_the_rate_gives_a_warning():
    test = RDSamples(name="bent", bpp=RATES, quality=(27.0, 33.0, 32.0, 35.5))
    warnings = bd_rate(ANCHOR, test).warnings
    assert any("bent is not monotone" in warning for warning in warnings)


def test_the_order_of_points_does_not_matter():
    test = scaled(0.8, gain=0.2)
    reversed_test = RDSamples(
        name="test", bpp=test.bpp[::-1], quality=test.quality[::-1]
    )
    assert bd_rate(ANCHOR, reversed_test).value == bd_rate(ANCHOR, test).value
