import pytest


@pytest.fixture
def runs(tmp_path):
    """A folder of two runs, as `evaluations.write_runs` describes them."""
    # Not at the top: types are checked in what is imported after this file.
    from support import evaluations

    return evaluations.write_runs(tmp_path / "runs")
