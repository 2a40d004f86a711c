"""Settings of the loss: annealing, and variants that do not fit."""

import numpy as np
import pytest

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.no_context import NoContext
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.stages import StageConfig
from jaxcorr.training.sweep import SweepConfig

pytestmark = pytest.mark.fast


def test_alpha_anneals_linearly_over_a_stage():
    config = TrainConfig(
        steps=10,
        loss=LossConfig(window=3),
        sweep=SweepConfig(correlation_weight=(0.0, 0.8)),
        stages=(
            StageConfig(start=2, correlation_weight_end=0.0),
            StageConfig(start=6, correlation_weight=0.0),
        ),
    )
    first, second, third = config.run_stages()
    assert np.allclose(first.weights(0).correlation_weight, [0, 0.8])
    for step, weight in ((2, 0.8), (3, 0.6), (5, 0.2)):
        np.testing.assert_allclose(
            second.weights(step).correlation_weight, [0, weight], rtol=1e-6
        )
    assert not np.any(third.weights(6).correlation_weight)
    assert "correlation weight end 0.0" in second.description


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"average_decay": 1.0}, "average_decay must be at least 0 and below 1"),
        ({"price_offset": True}, "price_offset must be false unless measure"),
        (
            {"measure": "whitening", "estimator": "unbiased"},
            "estimator must be published or averaged if measure is whitening, but is "
            "'unbiased'",
        ),
        (
            {"measure": "whitening", "weight": "auto"},
            "weight must be given if measure is whitening.*, but is 'auto'",
        ),
    ],
)
def test_variants_that_exclude_each_other_are_refused(loss, message):
    with pytest.raises(UserError, match=f"LossConfig.{message}"):
        LossConfig(**loss)


@pytest.mark.parametrize(
    ("loss", "context", "message"),
    [
        (
            LossConfig(window=3, measure="whitening"),
            NoContext(),
            "loss.measure whitening needs 5 latents across a crop, .* leaves 4",
        ),
        (
            LossConfig(window=3, mask="context"),
            Autoregressive(),
            "loss.mask: .* the context model sees all of a 3x3 map",
        ),
        (
            LossConfig(window=3, estimator="unbiased"),
            NoContext(),
            "loss.window must be at most 2, half of the latents .* single crop.* is 3",
        ),
        (
            LossConfig(window=3, mask="box"),
            NoContext(),
            "loss.mask: .* 'box' leaves none of a 3x3 map",
        ),
    ],
)
def test_crops_that_cannot_hold_a_variant_are_refused(loss, context, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(
            codec=CodecConfig(context=context),
            loss=loss,
            data=DataConfig(crop_size=64, batch_size=1, held_out_crops=4),
        )


@pytest.mark.parametrize(
    ("loss", "change", "message"),
    [
        (
            LossConfig(window=3, measure="whitening"),
            StageConfig(start=2, crop_size=64),
            "loss.measure whitening needs 5 latents .* leaves 4",
        ),
        (
            LossConfig(window=5, estimator="unbiased"),
            StageConfig(start=2, batch_size=1),
            "loss.window must be at most 4, half of the latents .* is 5",
        ),
    ],
)
def test_stages_that_cannot_hold_a_variant_are_refused(loss, change, message):
    data = DataConfig(crop_size=128, batch_size=2)
    with pytest.raises(UserError, match=f"stage from step 2: {message}"):
        TrainConfig(steps=4, loss=loss, data=data, stages=(change,))
