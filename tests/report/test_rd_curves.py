import pytest
from support.evaluations import model_metadata, write_result

from jaxcorr.evaluation import result_files
from jaxcorr.report import complexity, published, rd_curves
from jaxcorr.report.labels import curve_labels

pytestmark = pytest.mark.fast


def curves_of(evaluations):
    return rd_curves.group_into_curves(evaluations, curve_labels(evaluations))


def test_models_that_differ_in_weight_and_seed_are_on_one_curve(runs):
    evaluations = result_files.read_results([runs])
    curves = {curve.name: curve for curve in curves_of(evaluations)}
    assert set(curves) == {"Minnen 128/192, α = 0", "Minnen 128/192, α = 0.1"}
    for curve in curves.values():
        assert set(curve.series) == {0, 1}
        rates = [point.bpp for point in curve.series[0]]
        assert len(rates) == 4 and rates == sorted(rates)


def test_a_part_of_a_name_between_commas_names_an_anchor(runs):
    model = model_metadata(0.1, 0.1, mask="box")
    write_result(runs / "box.json", model, bpp=0.3, psnr=30.0)
    curves = curves_of(result_files.read_results([runs]))
    for name in ("α = 0", "α = 0.1"):
        assert rd_curves.find_curve(name, curves).name == f"Minnen 128/192, {name}"


def test_a_quality_is_plotted_against_the_rate_of_the_same_images(tmp_path):
    """A photograph and ten icons, which are too small for MS-SSIM."""
    rows = [{"bpp": 0.4, "ms_ssim": 0.9}] + 10 * [{"bpp": 2.0, "ms_ssim": None}]
    point = rd_curves.rd_point({"bpp": 20.4 / 11, "psnr_db": 30, "ms_ssim": 0.9}, rows)
    curve = rd_curves.RDCurve(name="a", kind="model", series={None: (point,)})
    assert curve.samples(None, "ms_ssim_db").bpp == (0.4,)
    assert curve.samples(None, "psnr_db").bpp == (20.4 / 11,)
    ((rates, qualities),) = curve.lines("ms_ssim_db")
    assert rates == [0.4] and qualities == pytest.approx([10.0])


def test_every_published_curve_names_its_source():
    curves = published.published_curves()
    assert len(curves) > 15
    for curve in curves:
        assert curve.source and all(point.bpp > 0 for point in curve.series[None])
    _, source = complexity.published_complexity()
    assert "NeurIPS 2023" in source
