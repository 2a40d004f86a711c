"""The snippets of all pages: Python runs, and commands have valid arguments."""

import functools
import re
import shlex

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from support import pages
from support.codecs import blocks
from support.paths import ROOT

from jaxcorr import branch, bucket_clients, trainer
from jaxcorr.cli import main
from jaxcorr.cli import train as cli_train
from jaxcorr.config import TrainConfig

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
    )
)
WITH_TESTS_OF_THEIR_OWN = {"docs/tour.md", "docs/tensorflow_compression.md"}
SLOW = {"docs/evaluation.md", "docs/guides/train.md"}
PYTHON = [
    pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
    for page in PAGES
    if pages.snippets(page) and page not in WITH_TESTS_OF_THEIR_OWN
]


def commands(page):
    """Returns the words of each call of jaxcorr in the shell snippets of a page."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    shell = re.sub(r"\$\w+", "1", re.sub(r"\$\w+_SIZE\b", "2", shell))
    launchers = r"srun |mpirun .*=1 |.*restart\.sh "  # The last two in a quotation.
    calls = re.findall(rf"^(?:{launchers})?jaxcorr (.*?)'?$", shell, re.MULTILINE)
    return [shlex.split(call, comments=True) for call in calls]


COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.usefixtures("no_shape_checks")
@pytest.mark.parametrize("page", PYTHON)
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(blocks(64, 96)).save("photo.jpg")
    latent, mean = np.random.default_rng(0).normal(size=(2, 1, 8, 8, 3))
    names = {"latent": latent, "mean": mean, "scale": jnp.ones_like(latent)}
    names |= {"bits_per_pixel": 1.0, "distortion_weight": 0.01, "mse": 50.0}
    pages.run(page, names if page == "README.md" else {})


@pytest.mark.fast
@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda x: x if isinstance(x, str) else " ".join(x)
)
def test_arguments_of_a_command_are_valid(page, words, monkeypatch):
    def load(name):
        if name == "train":
            if "--branch" in words:  # Its settings are those of a run.
                monkeypatch.setattr(branch, "branch_config", lambda *_: TrainConfig())
            return parse_settings
        command = original(name)
        return functools.wraps(command)(lambda *args, **kwargs: None)

    def parse_settings(arguments):
        config = cli_train.parse(arguments, program="jaxcorr train")
        trainer.check_held_out(config)

    original = main.load
    for scheme, (extra, _) in bucket_clients.STORAGE.items():  # No bucket is opened.
        monkeypatch.setitem(bucket_clients.STORAGE, scheme, (extra, "fsspec"))
    monkeypatch.setattr(main, "load", load)
    monkeypatch.setattr(main, "start_jax", lambda: None)
    if "--help" in words:
        with pytest.raises(SystemExit) as stop:
            main.run(words)
        assert stop.value.code == 0
    else:
        main.run(words)


@pytest.mark.fast
def test_wrong_arguments_are_noticed(monkeypatch):
    with pytest.raises(SystemExit):
        test_arguments_of_a_command_are_valid(
            "", ["evaluate", "DIR", "--no-such-flag"], monkeypatch
        )


@pytest.mark.fast
def test_most_pages_have_snippets():
    assert len(PYTHON) >= 10
    assert len(COMMANDS) >= 40
