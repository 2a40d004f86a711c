"""Evaluations read back, as curves, and the report made of them."""

import json
import re
from pathlib import Path

import pytest

from jaxcorr import config, settings
from jaxcorr.config import Config
from jaxcorr.errors import UserError
from jaxcorr.evaluation import curves, evaluations, findings, tables
from jaxcorr.training.objective import Objective

pytestmark = pytest.mark.fast

KODAK = [f"kodim{number:02}.png" for number in range(1, 25)]
BPP = {0.0018: 0.12, 0.0067: 0.35, 0.018: 0.7, 0.0483: 1.2}
PSNR = {0.0018: 27.0, 0.0067: 30.0, 0.018: 33.0, 0.0483: 36.0}


def about(distortion_weight, correlation_weight, *, seed=0, **objective):
    """What a model says of a run with these weights."""
    run = Config(
        seed=seed,
        objective=Objective(
            distortion_weight=distortion_weight,
            correlation_weight=correlation_weight,
            **objective,
        ),
    )
    member = {
        "seed": seed,
        "distortion_weight": distortion_weight,
        "correlation_weight": correlation_weight,
    }
    return {"run": settings.to_json(run), "member": member}


def write(path, model, *, bpp, psnr, images=KODAK, **more):
    values = {
        "bpp": bpp,
        "bpp_y": 0.9 * bpp,
        "bpp_z": 0.1 * bpp,
        "psnr_db": psnr,
        "ms_ssim": 0.95,
        "correlation": 0.2,
        "encode_seconds": 0.1,
        "decode_seconds": 0.2,
    } | more
    row = {"width": 768, "height": 512} | values
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "model": model,
        "images": [{"file": name} | row for name in images],
        "mean": values,
    }
    path.write_text(json.dumps(table))


@pytest.fixture
def runs(tmp_path):
    """Two seeds of a curve without the loss and of one with it: 10 % fewer bits."""
    for seed in (0, 1):
        folder = tmp_path / "runs" / f"seed-{seed}"
        history = []
        for index, weight in enumerate(BPP):
            for alpha in (0.0, 0.1):
                member = 2 * index + bool(alpha)
                write(
                    folder / f"evaluation@{member}.json",
                    about(weight, alpha, seed=seed),
                    bpp=BPP[weight] * (0.9 - 0.02 * seed if alpha else 1),
                    psnr=PSNR[weight],
                    correlation=0.02 if alpha else 0.4,
                )
                for step, loss in ((10, 4.0), (20, 2.0 - alpha)):
                    line = {"step": step, "member": member, "rate_distortion": loss}
                    history.append(json.dumps(line))
        (folder / "held_out.jsonl").write_text("\n".join(history))
    return tmp_path / "runs"


def test_a_curve_is_what_differs_in_weight_and_seed_alone(runs):
    found = evaluations.read([runs])
    families = {family.name: family for family in curves.families(found)}
    assert set(families) == {"Minnen 128/192, α = 0", "Minnen 128/192, α = 0.1"}
    for family in families.values():
        assert set(family.series) == {0, 1}
        rates = [point.bpp for point in family.series[0]]
        assert len(rates) == 4 and rates == sorted(rates)


def test_other_settings_make_another_curve_and_are_named(runs):
    model = about(0.0067, 0.1, mask="box", window=5)
    write(runs / "box.json", model, bpp=0.3, psnr=30.0)
    names = {family.name for family in curves.families(evaluations.read([runs]))}
    assert "Minnen 128/192, α = 0.1, mask box, window 5" in names
    assert "Minnen 128/192, α = 0" in names  # What most have is not said.


def test_seeds_are_compared_with_the_same_seed(runs):
    found = findings.find(
        evaluations.read([runs]), anchor="α = 0.1", interpolation="pchip"
    )
    compared = found.comparisons["Minnen 128/192, α = 0"]["psnr_db"]
    assert compared.rates == pytest.approx([100 / 0.9 - 100, 100 / 0.88 - 100])
    assert "Cheng anchor + AR" in found.comparisons


def test_the_anchor_is_the_first_curve_without_the_loss(runs):
    found = findings.find(evaluations.read([runs]), anchor=None, interpolation="pchip")
    assert found.anchor is not None and found.anchor.name == "Minnen 128/192, α = 0"


def test_the_cost_is_that_of_the_objective_and_compared_with_the_same_run(runs):
    found = evaluations.read([runs])
    each = next(e for e in found if e.correlation_weight and e.seed == 1)
    base = curves.without_loss(each, found)
    assert base is not None and each.distortion_weight is not None
    assert (base.seed, base.correlation_weight) == (1, 0)
    assert base.distortion_weight == each.distortion_weight
    mse = 255**2 * 10 ** (-PSNR[each.distortion_weight] / 10)
    expected = 0.88 * BPP[each.distortion_weight] + each.distortion_weight * mse
    assert each.cost == pytest.approx(expected)


def test_published_curves_stand_beside_kodak_alone(runs, tmp_path):
    assert findings.find(
        evaluations.read([runs]), anchor=None, interpolation="pchip"
    ).published
    write(
        tmp_path / "other.json", about(0.1, 0.0), bpp=1.0, psnr=30.0, images=["a.png"]
    )
    other = evaluations.read([tmp_path / "other.json"])
    assert not findings.find(other, anchor=None, interpolation="pchip").published


def test_what_a_run_shows_at_its_end_and_its_checkpoints_are_no_evaluations(runs):
    for place in ("held_out", "held_out/member_1"):
        path = runs / "seed-0" / place / "table.json"
        write(path, {}, bpp=1.0, psnr=30.0, images=["a"])
    write(runs / "seed-0/checkpoints/1/x.json", {}, bpp=1.0, psnr=30.0, images=["a"])
    assert len(evaluations.read([runs])) == 16


def test_a_report_holds_curves_tables_and_pictures_in_one_file(jaxcorr, runs):
    status, out, err = jaxcorr("report", runs, "-o", "report", "--anchor", "α = 0.1")
    assert status == 0, err
    page = Path("report/report.html").read_text()
    text = Path("report/report.md").read_text()
    assert "report/report.html" in out
    for title in ("Rate and PSNR", "BD-rate", "Points", "Rate saved", "While training"):
        assert f"## {title}" in text
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(pictures) == 4
    for picture in pictures:
        assert (Path("report") / picture).read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64,") == len(pictures)
    assert not re.search(r'(src|href)="(?!data:)', page)
    # Of 10 and 12 percent fewer bits with the loss.
    assert "| Minnen 128/192, α = 0 | +12.37 (+11.11 to +13.64) |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no run is named"),
        (["none"], "none does not exist: no run, folder or table there"),
        (["empty"], "empty holds no evaluation: name the images with --images"),
        (["bad.json"], "bad.json is no table that `jaxcorr evaluate --json` wrote"),
        (["runs", "--anchor", "α"], "anchor 'α' names 2 curves"),
        (["runs", "--anchor", "H.266"], "anchor 'H.266' names no curves; there are"),
        (["runs", "other.json"], "other.json is of other images than"),
        (
            ["short.json", "--anchor", "Minnen 128"],
            "anchor Minnen 128/192, α = 0 has 1 points",
        ),
    ],
)
def test_what_no_report_can_be_made_of_is_one_line(
    jaxcorr, runs, tmp_path, arguments, message
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text('{"model": {}, "images": [], "mean": {}}')
    write(
        tmp_path / "other.json", about(0.1, 0.0), bpp=1.0, psnr=30.0, images=["a.png"]
    )
    write(tmp_path / "short.json", about(0.1, 0.0), bpp=1.0, psnr=30.0)
    status, out, err = jaxcorr("report", *arguments, "-o", "report")
    assert (status, out) == (2, "")
    assert re.search(message, err) and err.count("\n") == 1
    assert err.startswith("jaxcorr: error: ")
    assert not Path("report").exists()


def test_a_damaged_table_is_refused(tmp_path):
    (tmp_path / "cut.json").write_text('{"model": ')
    with pytest.raises(UserError, match=r"cut\.json cannot be read"):
        evaluations.read([tmp_path])


def test_every_published_curve_says_where_it_is_from():
    families = curves.published()
    assert len(families) > 15
    for family in families:
        assert family.source and all(point.bpp > 0 for point in family.series[None])
    _, source = tables.papers_complexity()
    assert "NeurIPS 2023" in source
    assert config.Config().members
