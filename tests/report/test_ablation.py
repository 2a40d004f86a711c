import pytest
from support.evaluations import BPP, PSNR, model_metadata, write_result

from jaxcorr.evaluation import result_files
from jaxcorr.report import ablation, tables
from jaxcorr.report.labels import curve_labels

pytestmark = pytest.mark.fast


def test_a_model_is_compared_with_one_of_the_same_distortion(tmp_path):
    for distortion in ("mse", "ms_ssim"):
        for alpha in (0.0, 0.1):
            model = model_metadata(2.4, alpha, distortion=distortion)
            path = tmp_path / f"{distortion}-{alpha}.json"
            write_result(path, model, bpp=0.3, psnr=30.0)
    evaluations = result_files.read_results([tmp_path])
    pairs = [(e, ablation.without_loss(e, evaluations)) for e in evaluations]
    for evaluation, base in pairs:
        if base is not None:
            name = "loss.distortion"
            assert base.settings[name] == evaluation.settings[name]
    assert sum(base is not None for _, base in pairs) == 2


def test_the_cost_is_the_objective_and_is_compared_with_the_same_seed(runs):
    evaluations = result_files.read_results([runs])
    evaluation = next(e for e in evaluations if e.correlation_weight and e.seed == 1)
    base = ablation.without_loss(evaluation, evaluations)
    assert base is not None and evaluation.distortion_weight is not None
    assert (base.seed, base.correlation_weight) == (1, 0)
    weight = evaluation.distortion_weight
    assert base.distortion_weight == weight
    mse = 255**2 * 10 ** (-PSNR[weight] / 10)
    assert evaluation.cost == pytest.approx(0.88 * BPP[weight] + weight * mse)


def test_a_study_of_the_weight_has_one_seed_and_its_model_without_the_loss(runs):
    for alpha, factor in ((0.01, 0.95), (0.3, 1.1)):
        model = model_metadata(0.0067, alpha, seed=1)
        bpp = factor * BPP[0.0067]
        path = runs / f"{alpha}.json"
        write_result(path, model, bpp=bpp, psnr=30.0, correlation=alpha)
    (study,) = ablation.weight_studies(result_files.read_results([runs]))
    assert study.name == "λ = 0.0067, seed 1"
    assert study.correlation_weights.tolist() == [0.0, 0.01, 0.1, 0.3]
    base = BPP[0.0067] + 0.0067 * 255**2 * 10**-3
    gains = [-0.05, -0.12, 0.1]
    expected = [0.0, *(100 * gain * BPP[0.0067] / base for gain in gains)]
    assert study.cost_changes == pytest.approx(expected)
    assert study.correlations == pytest.approx([0.4, 0.01, 0.02, 0.3])


def test_without_a_model_without_the_loss_there_are_no_effects(tmp_path):
    for alpha in (0.01, 0.1, 0.3, 1.0):
        path = tmp_path / f"{alpha}.json"
        write_result(path, model_metadata(0.0067, alpha), bpp=0.3, psnr=30.0)
    evaluations = result_files.read_results([tmp_path])
    assert ablation.weight_studies(evaluations) == []
    assert tables.loss_effects(evaluations, curve_labels(evaluations)).rows == ()


def test_a_history_has_the_held_out_costs_of_its_member(runs):
    evaluations = result_files.read_results([runs])
    costs, changes = ablation.held_out_histories(evaluations, curve_labels(evaluations))
    assert len(costs) == 8 and len(changes) == 4
    for history in costs:
        last = 1.9 if "α = 0.1" in history.name else 2.0
        assert history.steps.tolist() == [10, 20]
        assert history.values.tolist() == [4.0, last]
    assert changes[0].values == pytest.approx([0, -5])


def test_the_change_of_the_held_out_cost_is_at_the_last_step_of_both_models(runs):
    evaluations = result_files.read_results([runs])
    evaluation = next(e for e in evaluations if e.correlation_weight)
    base = ablation.without_loss(evaluation, evaluations)
    assert base is not None
    changes = ablation.held_out_changes(evaluation, base)
    assert changes == pytest.approx({10: 0.0, 20: 100 * (1.9 / 2.0 - 1)})
    table = tables.loss_effects(evaluations, curve_labels(evaluations))
    column = table.columns.index("held out cost %")
    assert {row[column] for row in table.rows} == {"-5.00"}
