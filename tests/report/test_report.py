"""Evaluations read back, as curves, and the report made of them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from support.paths import ROOT

from jaxcorr import run_directory, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.errors import UserError
from jaxcorr.evaluation import results
from jaxcorr.report import ablation, comparison, published, rd_curves, tables
from jaxcorr.report.labels import curve_labels
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.sweep import SweepConfig

pytestmark = pytest.mark.fast

KODAK = [f"kodim{number:02}.png" for number in range(1, 25)]
BPP = {0.0018: 0.12, 0.0067: 0.35, 0.018: 0.7, 0.0483: 1.2}
PSNR = {0.0018: 27.0, 0.0067: 30.0, 0.018: 33.0, 0.0483: 36.0}


def names_of(found):
    return {
        family.name
        for family in rd_curves.group_into_curves(found, curve_labels(found))
    }


def about(distortion_weight, correlation_weight, *, seed=0, slices=None, **objective):
    """What a model says of a run with these weights."""
    codec = CodecConfig()
    if slices:
        codec = CodecConfig(context=Channelwise(slices=slices, support=2))
    sweep = SweepConfig(
        distortion_weight=distortion_weight,
        correlation_weight=correlation_weight,
        seed=seed,
    )
    run = TrainConfig(codec=codec, loss=LossConfig(**objective), sweep=sweep)
    member = {
        "seed": seed,
        "distortion_weight": distortion_weight,
        "correlation_weight": correlation_weight,
    }
    return {"run": serialization.to_json(run), "member": member}


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
                    about(weight, alpha, seed=seed) | {"path": f"run@{member}"},
                    bpp=BPP[weight] * (0.9 - 0.02 * seed if alpha else 1),
                    psnr=PSNR[weight],
                    correlation=0.02 if alpha else 0.4,
                )
                for step, loss in ((10, 4.0), (20, 2.0 - alpha)):
                    line = {"step": step, "member": member, "rate_distortion": loss}
                    history.append(json.dumps(line))
        history.append('{"step": 30, "mem')  # A run that was killed.
        (folder / "held_out.jsonl").write_text("\n".join(history))
    return tmp_path / "runs"


def test_a_curve_is_what_differs_in_weight_and_seed_alone(runs):
    found = results.read_results([runs])
    families = {
        family.name: family
        for family in rd_curves.group_into_curves(found, curve_labels(found))
    }
    assert set(families) == {"Minnen 128/192, α = 0", "Minnen 128/192, α = 0.1"}
    for family in families.values():
        assert set(family.series) == {0, 1}
        rates = [point.bpp for point in family.series[0]]
        assert len(rates) == 4 and rates == sorted(rates)


def test_other_settings_make_another_curve_and_are_named(runs):
    model = about(0.0067, 0.1, mask="box", window=5)
    write(runs / "box.json", model, bpp=0.3, psnr=30.0)
    names = names_of(results.read_results([runs]))
    assert "Minnen 128/192, α = 0.1, mask box, window 5" in names
    assert "Minnen 128/192, α = 0" in names  # What most have is not said.


OLD = ROOT / "tests/references/evaluation-first-generation.json"
"""A table from before members of a sweep had a section of the config."""


def test_tables_of_both_generations_of_settings_are_on_one_curve(tmp_path):
    old = json.loads(OLD.read_text())
    assert "seed" in old["model"]["run"] and "sweep" not in old["model"]["run"]
    new = json.loads(OLD.read_text())
    run, member = new["model"]["run"], new["model"]["member"]
    weights = {name: run["objective"].pop(name) for name in run_directory.WEIGHTS}
    run["sweep"] = {"kind": "Sweep", **weights, "seed": [run.pop("seed"), 7]}
    member |= {"seed": 7, "distortion_weight": 0.5}
    for name, table in (("old", old), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    found = results.read_results([tmp_path / "old.json", tmp_path / "new.json"])
    assert results.differing_settings(found) == set()
    (family,) = rd_curves.group_into_curves(found, curve_labels(found))
    assert set(family.series) == {0, 7}


def test_settings_below_the_context_make_another_curve_too(tmp_path):
    for slices in (4, 8):
        model = about(0.0067, 0.0, slices=slices)
        write(tmp_path / f"{slices}.json", model, bpp=0.3, psnr=30.0)
    assert len(names_of(results.read_results([tmp_path]))) == 2


def test_what_is_measured_between_images_is_no_setting_of_the_loss(tmp_path):
    for distortion in ("mse", "ms_ssim"):
        for alpha in (0.0, 0.1):
            model = about(2.4, alpha, distortion=distortion)
            path = tmp_path / f"{distortion}-{alpha}.json"
            write(path, model, bpp=0.3, psnr=30.0)
    found = results.read_results([tmp_path])
    assert len(names_of(found)) == 4
    for each in found:
        base = ablation.without_loss(each, found)
        if base is not None:
            name = "loss.distortion"
            assert base.settings[name] == each.settings[name]
    with pytest.raises(UserError, match="was not trained for bpp"):
        _ = next(each for each in found if not each.has_cost).cost


def test_costs_against_weight_are_of_one_seed_and_its_own_base(runs):
    for alpha, factor in ((0.01, 0.95), (0.3, 1.1)):
        model = about(0.0067, alpha, seed=1)
        bpp = factor * BPP[0.0067]
        write(runs / f"{alpha}.json", model, bpp=bpp, psnr=30.0, correlation=alpha)
    correlations, changes = ablation.against_weight(results.read_results([runs]))
    (line,) = changes
    assert line.name == "λ = 0.0067, seed 1"
    assert line.x.tolist() == [0.0, 0.01, 0.1, 0.3]
    base = BPP[0.0067] + 0.0067 * 255**2 * 10**-3
    gains = [-0.05, -0.12, 0.1]
    expected = [0.0, *(100 * gain * BPP[0.0067] / base for gain in gains)]
    assert line.y == pytest.approx(expected)
    assert correlations[0].y == pytest.approx([0.4, 0.01, 0.02, 0.3])


def test_without_the_model_without_the_loss_no_cost_is_drawn(tmp_path):
    for alpha in (0.01, 0.1, 0.3, 1.0):
        path = tmp_path / f"{alpha}.json"
        write(path, about(0.0067, alpha), bpp=0.3, psnr=30.0)
    found = results.read_results([tmp_path])
    assert ablation.against_weight(found) == ([], [])
    assert tables.effects(found, curve_labels(found)).rows == ()


def test_training_curves_are_those_of_the_member(runs):
    found = results.read_results([runs])
    losses, changes = ablation.histories(found, curve_labels(found))
    assert len(losses) == 8 and len(changes) == 4
    for line in losses:
        last = 1.9 if "α = 0.1" in line.name else 2.0
        assert line.x.tolist() == [10, 20] and line.y.tolist() == [4.0, last]
    assert changes[0].y == pytest.approx([0, -5])


def test_a_part_of_a_name_between_commas_names_an_anchor(runs):
    write(runs / "box.json", about(0.1, 0.1, mask="box"), bpp=0.3, psnr=30.0)
    families = rd_curves.group_into_curves(
        found := results.read_results([runs]), curve_labels(found)
    )
    for name in ("α = 0", "α = 0.1"):
        assert rd_curves.find_curve(name, families).name == f"Minnen 128/192, {name}"


def test_a_table_that_is_named_twice_counts_once(runs):
    assert len(results.read_results([runs, runs / "seed-0"])) == 16


@pytest.mark.parametrize(
    "broken",
    [
        {"images": [{"width": 1, "height": 1, "bpp": 1.0, "psnr_db": 1.0}]},
        {"mean": {}},
        {"model": []},
        {"model": "tiny"},
        {"model": {"run": {}}},
        {"model": {"run": {"codec": {}}}},
    ],
)
def test_a_table_that_lacks_something_is_refused(tmp_path, broken):
    write(tmp_path / "a.json", {}, bpp=1.0, psnr=30.0)
    table = json.loads((tmp_path / "a.json").read_text()) | broken
    (tmp_path / "a.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=r"a\.json is not a table"):
        results.read_results([tmp_path])


def test_the_report_evaluates_runs_first_if_told_where_images_are(
    jaxcorr, model_path, tmp_path
):
    from PIL import Image
    from support.codecs import blocks

    (tmp_path / "photos").mkdir()
    Image.fromarray(blocks(32, 48)).save(tmp_path / "photos/a.png")
    shutil.copytree(model_path, tmp_path / "model")
    arguments = ["report", "model", "--images", "photos", "-o"]
    status, _, err = jaxcorr(*arguments, "photos/a.png/x")
    assert status == 2 and "a.png is not a directory" in err
    assert not (tmp_path / "model/evaluation.json").exists()
    status, _, err = jaxcorr(*arguments, "report")
    assert status == 0, err
    assert (tmp_path / "model/evaluation.json").exists()
    assert "## Points" in (tmp_path / "report/report.md").read_text()
    status, _, err = jaxcorr("report", "demo", "--images", "photos", "-o", "report")
    assert status == 2 and "demo keeps no table" in err


def test_seeds_are_compared_with_the_same_seed(runs):
    found = comparison.compare_with_anchor(
        results.read_results([runs]), anchor="α = 0.1", interpolation="pchip"
    )
    compared = found.comparisons["Minnen 128/192, α = 0"]["psnr_db"]
    assert compared.rates == pytest.approx([100 / 0.9 - 100, 100 / 0.88 - 100])
    assert "Cheng anchor + AR" in found.comparisons


def test_the_anchor_is_the_first_curve_without_the_loss(runs):
    found = comparison.compare_with_anchor(
        results.read_results([runs]), anchor=None, interpolation="pchip"
    )
    assert found.anchor is not None and found.anchor.name == "Minnen 128/192, α = 0"


def test_the_cost_is_that_of_the_objective_and_compared_with_the_same_run(runs):
    found = results.read_results([runs])
    each = next(e for e in found if e.correlation_weight and e.seed == 1)
    base = ablation.without_loss(each, found)
    assert base is not None and each.distortion_weight is not None
    assert (base.seed, base.correlation_weight) == (1, 0)
    assert base.distortion_weight == each.distortion_weight
    mse = 255**2 * 10 ** (-PSNR[each.distortion_weight] / 10)
    expected = 0.88 * BPP[each.distortion_weight] + each.distortion_weight * mse
    assert each.cost == pytest.approx(expected)


def test_the_cost_of_held_out_crops_is_that_of_the_last_step_of_both(runs):
    found = results.read_results([runs])
    each = next(e for e in found if e.correlation_weight)
    base = ablation.without_loss(each, found)
    assert base is not None
    changes = ablation.held_out_changes(each, base)
    assert changes == pytest.approx({10: 0.0, 20: 100 * (1.9 / 2.0 - 1)})
    table = tables.effects(
        found,
        comparison.compare_with_anchor(found, anchor=None, interpolation="pchip").label,
    )
    column = table.columns.index("held out cost %")
    assert {row[column] for row in table.rows} == {"-5.00"}


def test_published_curves_stand_beside_kodak_alone(runs, tmp_path):
    assert comparison.compare_with_anchor(
        results.read_results([runs]), anchor=None, interpolation="pchip"
    ).published
    write(
        tmp_path / "other.json", about(0.1, 0.0), bpp=1.0, psnr=30.0, images=["a.png"]
    )
    other = results.read_results([tmp_path / "other.json"])
    assert not comparison.compare_with_anchor(
        other, anchor=None, interpolation="pchip"
    ).published


def test_what_a_run_shows_at_its_end_and_its_checkpoints_are_no_evaluations(runs):
    for place in ("held_out", "held_out/member_1"):
        path = runs / "seed-0" / place / "table.json"
        write(path, {}, bpp=1.0, psnr=30.0, images=["a"])
    write(runs / "seed-0/checkpoints/1/x.json", {}, bpp=1.0, psnr=30.0, images=["a"])
    assert len(results.read_results([runs])) == 16


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
    assert "| Minnen 128/192, α = 0 | +12.4 (+11.1 to +13.6) |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no run is named"),
        (["none"], "none does not exist: no run, folder or table there"),
        (["empty"], "empty holds no evaluation: name the images with --images"),
        (["bad.json"], "bad.json is not a table that `jaxcorr evaluate --json` wrote"),
        (["runs", "--anchor", "α ="], "anchor 'α =' names 2 curves"),
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
        results.read_results([tmp_path])


def test_every_published_curve_says_where_it_is_from():
    families = published.published_curves()
    assert len(families) > 15
    for family in families:
        assert family.source and all(point.bpp > 0 for point in family.series[None])
    _, source = tables.published_complexity()
    assert "NeurIPS 2023" in source
