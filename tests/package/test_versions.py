"""The lowest supported versions are stated once for pip and once for the message."""

import importlib.metadata
import re
import sys
import tomllib

import pytest
from support.paths import ROOT

import jaxcorr as package
from jaxcorr import versions
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def old_jax(monkeypatch):
    """Pretends that an old JAX is installed."""
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "0.6.0" if name == "jax" else installed(name),
    )
    return "jax 0.6.0 is installed, but jaxcorr needs 0.7.2 or newer: "


def test_lowest_versions_are_those_that_pip_requires():
    assert PROJECT["requires-python"] == f">={versions.PYTHON}"
    for name, lowest in versions.PACKAGES.items():
        assert f"{name}>={lowest}" in PROJECT["dependencies"]


def test_colab_constraints_have_the_lowest_versions_of_what_is_used():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints-colab.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    assert (pinned["jax"], pinned["jaxlib"], pinned["numpy"]) == (
        *("0.7.2", "0.7.2"),
        "2.1.3",  # The lowest of Colab; ours is lower.
    )
    extras = PROJECT["optional-dependencies"]
    used = [*PROJECT["dependencies"], *extras["train"], *extras["tfds"]]
    for requirement in [*used, *extras["plots"]]:
        bound = re.match(r"([\w-]+)>=([\d.]+)", requirement)
        if bound and bound[1] != "numpy":
            version = pinned[bound[1].lower()]
            assert re.match(rf"{re.escape(bound[2])}(\.|$)", version), requirement


def test_an_old_jax_is_refused_by_a_command(jaxcorr, old_jax):
    status, out, err = jaxcorr("compress", "photo.png")
    assert (status, out) == (2, "")
    assert err == f"jaxcorr: error: {old_jax}pip install -U jax\n"


def test_an_old_jax_is_refused_in_python(old_jax):
    with pytest.raises(UserError, match=re.escape(old_jax)):
        package.load("demo")


def test_a_later_version_with_a_suffix_is_accepted(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.20.0.dev20260101")
    versions.check_packages()


def test_an_old_python_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(UserError, match=r"^this is Python 3\.10, but .* needs 3\.11 "):
        versions.check_python()
