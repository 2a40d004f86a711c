import pytest
from support.evaluations import model_metadata, write_result

from jaxcorr.evaluation import result_files
from jaxcorr.report import comparison

pytestmark = pytest.mark.fast


def compare(path, *, anchor=None):
    return comparison.compare_with_anchor(
        result_files.read_results([path]), anchor=anchor, interpolation="pchip"
    )


def test_seeds_are_compared_with_the_same_seed(runs):
    compared = compare(runs, anchor="α = 0.1")
    in_psnr = compared.comparisons["Minnen 128/192, α = 0"]["psnr_db"]
    assert in_psnr.rates == pytest.approx([100 / 0.9 - 100, 100 / 0.88 - 100])
    assert "Cheng anchor + AR" in compared.comparisons


def test_the_default_anchor_is_the_first_curve_without_the_loss(runs):
    anchor = compare(runs).anchor
    assert anchor is not None and anchor.name == "Minnen 128/192, α = 0"


def test_only_evaluations_on_kodak_are_compared_with_published_curves(runs, tmp_path):
    assert compare(runs).published
    write_result(
        tmp_path / "other.json",
        model_metadata(0.1, 0.0),
        bpp=1.0,
        psnr=30.0,
        images=["a.png"],
    )
    assert not compare(tmp_path / "other.json").published
