"""The bound: Gaussian fields whose neighbors save a known number of bits."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.errors import UserError
from jaxcorr.neighbors import bound as bounds
from jaxcorr.neighbors import closed_forms, fitting, network, predictors, samples
from jaxcorr.neighbors.statistics import jackknife, ratio_percent

SHAPE = (6, 40, 40, 3)
"""Images, height, width and channels; enough for a standard error of 0.01 bits."""
SCALE = 20.0
"""Scale of the fields, so large that rounding costs nothing."""
BITS = np.log2(SCALE * np.sqrt(2 * np.pi * np.e))
"""Bits of a rounded Gaussian of large scale."""


def white(seed=0, shape=SHAPE):
    return SCALE * np.random.default_rng(seed).normal(size=shape)


def autoregressive(correlations, seed=0):
    """Returns a field per channel whose columns are an AR(1) process along each row."""
    field, rho = white(seed), np.asarray(correlations)
    for column in range(1, SHAPE[2]):
        noise = np.sqrt(1 - rho**2) * field[:, :, column]
        field[:, :, column] = rho * field[:, :, column - 1] + noise
    return field


def saved_bits(field, scale=SCALE, *, only=None):
    """Returns bits per latent that each linear predictor saves, with the error."""
    residuals = [np.rint(image).astype(np.float32) for image in field]
    gathered = samples.collect_samples(
        residuals, [np.full_like(image, scale) for image in residuals]
    )
    features = predictors.make_features(gathered)
    fold = gathered.image % bounds.FOLDS
    identity = np.tile(predictors.IDENTITY, (bounds.FOLDS, SHAPE[3], 1))
    bits = predictors.held_out_bits(features, fold, identity)
    before = gathered.per_image(bits).sum(axis=1)
    after, _ = bounds.fit_linear(gathered, features, fold, identity)
    saved = {}
    for name, bits in after.items():
        percent, error = ratio_percent(before - bits.sum(axis=1), before)
        factor = before.sum() / field.size / 100
        saved[name] = factor * percent, factor * error
    return saved


def test_one_filter_saves_the_mutual_information_of_an_autoregressive_field():
    rho = 0.6
    saved = saved_bits(autoregressive([rho] * 3))
    # The first latent of a row has no left neighbor.
    expected = -0.5 * np.log2(1 - rho**2) * (1 - 1 / SHAPE[2])
    for name in ("pooled_filter", "channel_filters"):
        value, error = saved[name]
        assert error < 0.01
        assert value == pytest.approx(expected, abs=3 * error + 0.002)
    assert abs(saved["calibration"][0]) < 0.003
    gain = saved["channel_energy"][0] - saved["channel_filters"][0]
    assert abs(gain) < 0.005


def test_correlations_that_cancel_are_seen_by_a_filter_for_every_channel_only():
    # Moving averages of two columns: their covariances sum to 0 over the channels.
    noise = white(shape=(*SHAPE[:2], SHAPE[2] + 1, SHAPE[3]))
    signs = np.array([1.0, -1.0, 0.0])
    field = noise[:, :, 1:] + signs * noise[:, :, :-1]
    saved = saved_bits(field / np.sqrt(1 + signs**2))
    # No, one or two columns to the left leave 1, 3/4 and 2/3 of the variance.
    variances = np.array([1, 3 / 4, *[2 / 3] * (SHAPE[2] - 2)])
    expected = 2 / 3 * np.mean(-0.5 * np.log2(variances))
    assert saved["channel_filters"][0] == pytest.approx(expected, abs=0.015)
    assert abs(saved["pooled_filter"][0]) < 0.005


def test_calibration_finds_offset_and_gain():
    factor, shift = 1.5, 0.4
    saved = saved_bits(factor * white() + shift * SCALE)
    # Cross entropy minus entropy of the Gaussians, a Kullback-Leibler divergence.
    expected = (factor**2 + shift**2 - 1) / (2 * np.log(2)) - np.log2(factor)
    value, error = saved["calibration"]
    assert value == pytest.approx(expected, abs=4 * error)
    assert abs(saved["channel_filters"][0] - value) < 0.005


def test_a_scale_that_only_neighbors_tell_is_found_in_their_energy():
    low, high = 0.5, 2.0
    rng = np.random.default_rng(1)
    blocks = np.where(rng.random((6, 2, 2, 3)) < 0.5, low, high)
    scales = np.repeat(np.repeat(blocks, 20, axis=1), 20, axis=2)
    saved = saved_bits(white() * scales)
    oracle = -np.mean(np.log2(scales)) + 0.5 * np.mean(scales**2 - 1) / np.log(2)
    best_constant = 0.5 * (np.mean(scales**2) - 1) / np.log(2)
    best_constant -= 0.5 * np.log2(np.mean(scales**2))
    assert saved["calibration"][0] == pytest.approx(best_constant, rel=0.25)
    gained = saved["neighbor_energy"][0] - saved["channel_filters"][0]
    available = oracle - saved["channel_filters"][0]
    assert 0.6 * available < gained < available


def test_a_scale_that_only_earlier_channels_tell_is_found_in_theirs():
    scales = np.exp(np.random.default_rng(1).normal(0, 0.7, (*SHAPE[:3], 1)))
    saved = saved_bits(white() * scales)
    assert saved["channel_energy"][0] - saved["neighbor_energy"][0] > 0.05
    assert abs(saved["neighbor_energy"][0] - saved["channel_filters"][0]) < 0.02


@pytest.mark.slow
def test_a_network_finds_a_part_of_what_no_linear_filter_sees():
    # The mean is the magnitude of the left neighbor, hardly correlated with it.
    field, slope = white(shape=(8, 64, 64, 1)), 0.9
    for column in range(1, 64):
        left = np.abs(field[:, :, column - 1])
        field[:, :, column] += slope * (left - left.mean())
    scale = field.std()
    measured = bounds.bound(
        [*field], [*np.zeros_like(field)], [*np.full_like(field, scale)]
    )
    *linear, alone, network = measured.savings
    # A Gaussian of the field's variance costs this much more than one of the noise's.
    known = 100 * np.log2(scale / SCALE) / measured.bits_per_latent
    assert 0.15 * known < network.percent < known and network.error < 0.01 * known
    assert max(saving.percent for saving in linear) < network.percent / 5
    assert abs(alone.percent) < 0.01


@pytest.mark.slow
def test_the_whole_network_saves_nothing_of_white_latents():
    field = white(seed=3)
    measured = bounds.bound(
        [*field], [*np.zeros_like(field)], [*np.full_like(field, SCALE)]
    )
    for saving in measured.savings[-2:]:
        assert saving.name.startswith("network")
        assert -0.1 < saving.percent < 3 * saving.error + 1e-3


@pytest.fixture(scope="module")
def measured_white():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "STEPS", 20)
        field = white()
        return bounds.bound(
            [*field], [*np.zeros_like(field)], [*np.full_like(field, SCALE)]
        )


def test_white_latents_save_nothing(measured_white):
    assert measured_white.bits_per_latent == pytest.approx(BITS, abs=0.02)
    assert [saving.name for saving in measured_white.savings][-1] == "network"
    for saving in measured_white.savings:
        assert saving.percent < 3 * saving.error + 1e-3, saving
        assert saving.percent > -0.1, saving  # What fitting to few images costs.
    for saving in measured_white.closed_forms:
        assert 0 <= saving.percent < 0.1


def test_a_bound_prints_and_is_json(measured_white):
    lines = repr(measured_white).splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[-2] == "6 images, 28,800 latents in 3 channels"
    assert lines[-1].startswith("6.363 bits per latent, correlation loss 0.00")
    values = measured_white.to_json()
    assert len(values["savings"]) == 7 and len(values["map"]) == 7
    assert sum(values["channel_bits"]) == pytest.approx(1)
    total = sum(values["image_savings"]["network"])
    percent = 100 * total / sum(values["image_bits"])
    assert values["savings"][-1]["percent"] == pytest.approx(percent)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:3], "needs at least 4 images, but 3 are given"),
        (lambda x: x[:1], "needs at least 4 images, but 1 is given"),
        (lambda x: [*x[:3], x[3][:6]], "image 4 is too small: .* but are 6 x 40"),
        (lambda x: [a[:9, :9] for a in x[:4]], "400 positions at least, .* have 324"),
        (lambda x: [*x[:3], x[3][..., :2]], "image 4 has 2 channels, .* has 3"),
        (lambda x: [*x[:3], x[3][0]], "image 4 must have one shape"),
        (lambda x: [*x[:3], x[3] * np.nan], "of image 4 must be finite"),
        (lambda x: [*x[:3], x[3] * 0], "scales of image 4 must be positive"),
    ],
)
def test_arrays_that_allow_no_bound_are_refused_in_one_line(change, message):
    arrays = change([*np.ones(SHAPE)])
    with pytest.raises(UserError, match=message) as caught:
        bounds.bound(arrays, arrays, arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.fast
def test_lists_of_different_lengths_and_latents_without_bits_are_refused():
    arrays = [*np.ones(SHAPE)]
    with pytest.raises(UserError, match="have 6, 6 and 5"):
        bounds.bound(arrays, arrays, arrays[1:])
    with pytest.raises(UserError, match="names must be one per image, but are 2 for 6"):
        bounds.bound(arrays, arrays, arrays, names=["a", "b"])
    empty = [array[..., :0] for array in arrays]
    with pytest.raises(UserError, match="latents of image 1 have no channels"):
        bounds.bound(empty, empty, empty)
    with pytest.raises(UserError, match="have no bits"):
        bounds.bound(arrays, arrays, [0.001 * array for array in arrays])


@pytest.mark.fast
def test_the_error_of_a_ratio_is_that_of_a_mean_if_all_images_have_the_same_bits():
    saved = np.array([1.0, 2.0, 4.0, 5.0])
    percent, error = ratio_percent(saved, np.full(4, 10.0))
    assert percent == pytest.approx(30)
    assert error == pytest.approx(10 * saved.std(ddof=1) / 2)
    value, error = jackknife(lambda w: float(np.average(saved, weights=w)), np.ones(4))
    assert (value, error) == pytest.approx((3, saved.std(ddof=1) / 2))


@pytest.mark.fast
def test_newton_steps_have_the_derivatives_of_the_bits():
    residual = jnp.array([[0.0, 1.0, -3.0, 12.0]])
    scale = jnp.array([[0.3, 0.8, 2.0, 5.0]])
    offset, weight, step = 0.2, jnp.ones((1, 4)), 1e-2
    values = {
        move: fitting.rounded_gaussian(
            residual - offset - move[0], scale * np.exp(move[1]), weight
        )
        for move in [(0, 0), (step, 0), (-step, 0), (0, step), (0, -step)]
    }
    for axis in (0, 1):
        up, down = ((step, 0), (-step, 0)) if axis == 0 else ((0, step), (0, -step))
        first, second = values[0, 0][1 + axis]
        slopes = (values[up][0] - values[down][0]) / (2 * step)
        bends = (values[up][1 + axis][0] - values[down][1 + axis][0]) / (2 * step)
        np.testing.assert_allclose(first, slopes, rtol=2e-2, atol=2e-3)
        np.testing.assert_allclose(second, bends, rtol=2e-2, atol=2e-3)


def test_many_latents_are_sampled_and_each_image_keeps_its_weight(monkeypatch):
    monkeypatch.setattr(samples, "MAX_LATENTS", 900)
    sizes = [(10, 20), (30, 7)]
    residuals = [np.ones((*size, 3), np.float32) for size in sizes]
    gathered = samples.collect_samples(residuals, residuals)
    assert gathered.residual.shape == (300, 3)
    np.testing.assert_allclose(gathered.per_image(gathered.residual)[:, 0], [200, 210])


@pytest.mark.fast
def test_causal_neighbors_are_those_of_the_image_and_zeros_around_it():
    plane = np.arange(1.0, 1 + 8 * 9, dtype=np.float32).reshape(8, 9, 1)
    ones = np.full_like(plane, np.sqrt(1 - samples.ROUNDING_VARIANCE))
    gathered = samples.collect_samples([plane, plane], [ones, ones])
    neighbors = gathered.padded[gathered.neighbor_index][..., 0]
    padded = np.pad(plane[..., 0], 2)
    for position in (0, 8, 40, 71, 72, 143):
        row, column = divmod(position % 72, 9)
        window = padded[row : row + 3, column : column + 5].reshape(-1)
        np.testing.assert_allclose(neighbors[position], window[:12], rtol=1e-6)


def test_closed_forms_give_the_information_of_an_autoregressive_field():
    rho = 0.6
    field = [np.rint(x).astype(np.float32) for x in autoregressive([rho] * 3)]
    scales = [np.full_like(image, SCALE) for image in field]
    moments = closed_forms.measure_moments(field, scales)
    expected = -0.5 * np.log2(1 - rho**2)
    assert moments.pooled_bits(moments.weights) == pytest.approx(expected, rel=0.03)
    assert moments.channel_bits(moments.weights) == pytest.approx(expected, rel=0.03)
    lags = rho ** (2 * np.arange(1, 4))
    quadratic = closed_forms.BITS_PER_SQUARE * 2 * lags.sum()
    assert moments.quadratic_bits(moments.weights) == pytest.approx(quadratic, rel=0.1)


def test_a_mean_offset_is_a_pedestal_of_the_map():
    offset = 0.5
    field = [np.rint(x).astype(np.float32) for x in white() + offset * SCALE]
    scales = [np.full_like(image, SCALE) for image in field]
    moments = closed_forms.measure_moments(field, scales)
    off_center = np.ones((7, 7), bool)
    off_center[3, 3] = False
    pedestal = moments.maps.mean(axis=0)[off_center]
    np.testing.assert_allclose(pedestal, offset**2, atol=0.03)
    np.testing.assert_allclose(
        moments.centered_maps.mean(axis=0)[off_center], 0, atol=0.02
    )
