"""The snippets of the tour run one after another, and print what they say."""

import re

import numpy as np
import pytest
from support import pages

pytestmark = pytest.mark.fast
PAGE = "docs/tour.md"


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """Names that the snippets of the page define, and the lines that they printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tour"))
        return pages.run(PAGE)


def test_the_snippets_print_what_the_comments_beside_them_say(tour):
    _, printed = tour
    promises = pages.promised_lines(PAGE)
    assert len(promises) == 6
    for promise in promises:
        pattern = re.escape(promise).replace("…", ".*")
        assert any(re.fullmatch(pattern, line) for line in printed), promise


def test_the_loop_lowers_the_loss(tour):
    names, _ = tour
    losses = [float(terms["loss"]) for terms in names["history"]]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_the_file_has_the_size_that_the_model_estimates(tour):
    names, _ = tour
    bare = len(names["data"]) - 5 - len("my_codec")  # The name of the model.
    assert 40 <= bare - float(names["estimate"]) <= 60
    error = names["decoded"] / 255.0 - np.clip(names["output"].reconstruction, 0, 1)
    assert np.abs(error).mean() < 0.01
