"""A run goes on with settings that change how a step is computed, and not the step."""

import shutil

import numpy as np
import pytest
from support.training_runs import EVERY, STEPS, Runs, records

from jaxcorr import run_directory


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_micro_batches(tmp_path):
    whole, in_parts = tmp_path / "whole", tmp_path / "in_parts"
    with Runs(tmp_path) as runs:
        assert runs.finish(whole)[::2] == (0, "")
        shutil.copytree(whole, in_parts)
        shutil.rmtree(in_parts / "checkpoints" / str(STEPS))
        status, output, errors = runs.finish(in_parts, "--step.micro-batches", "2")
        assert (status, errors) == (0, "")
        assert f"Resuming from step {STEPS - EVERY} of {STEPS}" in output
    for record, other in zip(records(whole), records(in_parts), strict=True):
        is_repeated = record["step"] > STEPS - EVERY
        tolerance = 1e-4 if is_repeated else 0  # Sums have another order.
        np.testing.assert_allclose(other["loss"], record["loss"], rtol=tolerance)
    expected, parameters = (
        run_directory.load(workdir, checkpoint=str(STEPS)).parameters
        for workdir in (whole, in_parts)
    )
    for name, value in expected.items():
        # A step of Adam is about the learning rate, 1e-3, for any small gradient.
        difference = np.abs(parameters[name] - value)
        assert np.quantile(difference, 0.99) < 1e-4 and difference.max() < 4e-3, name
