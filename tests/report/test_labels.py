import pytest
from support.evaluations import model_metadata, write_result

from jaxcorr.evaluation import result_files
from jaxcorr.report import rd_curves
from jaxcorr.report.labels import curve_labels

pytestmark = pytest.mark.fast


def curve_names(evaluations):
    label = curve_labels(evaluations)
    return {curve.name for curve in rd_curves.group_into_curves(evaluations, label)}


def test_other_settings_make_another_curve_and_its_name_contains_them(runs):
    model = model_metadata(0.0067, 0.1, mask="box", window=5)
    write_result(runs / "box.json", model, bpp=0.3, psnr=30.0)
    names = curve_names(result_files.read_results([runs]))
    assert "Minnen 128/192, α = 0.1, mask box, window 5" in names
    assert "Minnen 128/192, α = 0" in names  # Without the most common settings.


def test_settings_of_the_context_model_make_another_curve(tmp_path):
    for slices in (4, 8):
        model = model_metadata(0.0067, 0.0, slices=slices)
        write_result(tmp_path / f"{slices}.json", model, bpp=0.3, psnr=30.0)
    assert len(curve_names(result_files.read_results([tmp_path]))) == 2


def test_the_distortion_makes_another_curve(tmp_path):
    for distortion in ("mse", "ms_ssim"):
        for alpha in (0.0, 0.1):
            model = model_metadata(2.4, alpha, distortion=distortion)
            path = tmp_path / f"{distortion}-{alpha}.json"
            write_result(path, model, bpp=0.3, psnr=30.0)
    assert len(curve_names(result_files.read_results([tmp_path]))) == 4
