"""The bound: Gaussian fields whose neighbors save a known number of bits."""

import numpy as np
import pytest

from jaxcorr.neighbors import bound as bounds
from jaxcorr.neighbors import network, predictors, samples
from jaxcorr.neighbors.statistics import ratio_percent

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
    before = gathered.per_image(predictors.codec_bits(features)).sum(axis=1)
    after, _ = bounds.fit_linear(gathered, features, fold)
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
    rho = np.array([0.6, -0.6, 0.0])
    saved = saved_bits(autoregressive(rho))
    expected = np.mean(-0.5 * np.log2(1 - rho**2)) * (1 - 1 / SHAPE[2])
    assert saved["channel_filters"][0] == pytest.approx(expected, abs=0.02)
    assert abs(saved["pooled_filter"][0]) < 0.01


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
    channels = 8
    field = np.concatenate([white(seed) for seed in range(4)], axis=-1)[..., :channels]
    saved = saved_bits(field * scales)
    assert saved["channel_energy"][0] - saved["neighbor_energy"][0] > 0.1
    assert abs(saved["neighbor_energy"][0] - saved["channel_filters"][0]) < 0.02


@pytest.fixture(scope="module")
def measured_white():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "STEPS", 20)
        field = white()
        return bounds.bound(field, np.zeros_like(field), np.full_like(field, SCALE))


def test_white_latents_save_nothing(measured_white):
    assert measured_white.bits_per_latent == pytest.approx(BITS, abs=0.02)
    assert [saving.name for saving in measured_white.savings][-1] == "network"
    for saving in measured_white.savings:
        assert saving.percent < 3 * saving.error + 1e-3, saving
        assert saving.percent > -0.3, saving  # What fitting to few images costs.
    for saving in measured_white.closed_forms:
        assert 0 <= saving.percent < 0.1


def test_a_bound_prints_and_is_json(measured_white):
    lines = repr(measured_white).splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[-1].startswith("6 images, 28,800 latents in 3 channels, 6.37 bits")
    values = measured_white.to_json()
    assert len(values["savings"]) == 7 and len(values["map"]) == 7
    assert sum(values["channel_bits"]) == pytest.approx(1)
    total = sum(values["image_savings"]["network"])
    percent = 100 * total / sum(values["image_bits"])
    assert values["savings"][-1]["percent"] == pytest.approx(percent)
