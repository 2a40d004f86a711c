"""Parts that only an extra needs are optional, and their absence is explained."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest
from support.paths import ROOT

from jaxcorr import extras
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE_ONLY = """
import sys
from jaxcorr import extras

class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if any(top in modules for modules in extras.MODULES.values()) and (
            top != "markdown_it"  # Rich, which Flax requires, has it too.
        ):
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Absent())
"""
"""Hides what the extras install from the process that runs it."""


def run_core_only(code, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", CORE_ONLY + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


def requirements(extra):
    """Returns the names of the distributions that an extra adds."""
    names = [
        re.match(r"[\w-]+", text) for text in PROJECT["optional-dependencies"][extra]
    ]
    return {name[0].lower() for name in names if name} - {"jaxcorr"}


def test_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(extras.MODULES, "plots", ("absent_package",))
    message = r"^drawing needs absent_package, .*: pip install 'jaxcorr\[plots\]'$"
    with (
        pytest.raises(UserError, match=message),
        extras.needs_extra("plots", "drawing"),
    ):
        import absent_package.figure  # pyright: ignore  # noqa: F401


def test_other_missing_package_is_not_hidden():
    with (
        pytest.raises(ModuleNotFoundError, match="absent_package"),
        extras.needs_extra("plots", "drawing"),
    ):
        import absent_package  # pyright: ignore  # noqa: F401


@pytest.mark.parametrize("extra", ["plots", "tfds", "train"])
def test_modules_of_an_extra_are_those_of_its_requirements(extra):
    owners = importlib.metadata.packages_distributions()
    named = {owners[module][0].lower() for module in extras.MODULES[extra]}
    assert {name.replace("_", "-") for name in named} == requirements(extra)


def test_every_extra_of_the_table_exists():
    assert extras.MODULES.keys() <= PROJECT["optional-dependencies"].keys()


def test_names_of_extras_of_earlier_versions_stay():
    names = {"cuda", "notebooks", "test", "tpu", "tpu-aot", "prepare", "compressai"}
    assert names | {"jpegxl"} <= PROJECT["optional-dependencies"].keys()


def test_core_codes_without_any_extra(tmp_path, model_path):
    code = """
import numpy as np
import jaxcorr
from jaxcorr.cli import main

model = jaxcorr.load(sys.argv[1])
image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
data = jaxcorr.compress(image, model=model)
assert jaxcorr.decompress(data, model=model).shape == (64, 96, 3)
for name in set(jaxcorr.__all__) - {"train"}:
    getattr(jaxcorr, name)
for name in main.COMMANDS:
    main.load(name)
"""
    done = run_core_only(code, model_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("train quickstart", "train"),
        ("prepare images --data-dir data --name photographs", "tfds"),
        ("show image.png -m demo", "plots"),
        ("report run -o report", "plots"),
    ],
)
def test_a_command_without_its_extra_says_so_in_one_line(command, extra, tmp_path):
    code = "from jaxcorr.cli import main; sys.argv[0] = 'jaxcorr'; main.main()"
    done = run_core_only(code, *command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        rf"jaxcorr: error: .+ needs \w+, .*: pip install 'jaxcorr\[{extra}\]'\n",
        done.stderr,
    )


def test_training_in_python_without_its_extra_says_so(tmp_path):
    code = "import jaxcorr; jaxcorr.train('quickstart')"
    done = run_core_only(code, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.endswith("is not installed: pip install 'jaxcorr[train]'")
