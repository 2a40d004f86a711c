import importlib.metadata
import json

import numpy as np
import pytest

from jaxcorr.bitstream import container
from jaxcorr.cli import doctor, installation, self_test
from jaxcorr.correlation import correlation_loss

pytestmark = pytest.mark.fast

REQUIREMENTS = {
    "jaxcorr": [
        "numpy>=2.0",
        "zlib-rs>=1",
        'rareos>=1; platform_system == "Rare"',
        "pillow>=99; extra == 'new'",
        "jaxcorr[new]; extra == 'all'",
        "other[fast]>=1.5; extra == 'speed'",
    ],
    "other": ["plugin<=2,>=1; extra == 'fast'", "unrelated; extra == 'slow'"],
}
VERSIONS = {"numpy": "2.0.0", "pillow": "13.0", "other": "1.10rc1"}


@pytest.fixture
def distributions(monkeypatch):
    """Replaces what is installed, as `importlib.metadata` says, by the tables above."""

    def version(name):
        if name not in VERSIONS:
            raise importlib.metadata.PackageNotFoundError(name)
        return VERSIONS[name]

    monkeypatch.setattr(importlib.metadata, "requires", REQUIREMENTS.get)
    monkeypatch.setattr(importlib.metadata, "version", version)


def problems(extra):
    return [package.problem for package in installation.packages(extra)]


def test_missing_and_old_packages_are_problems(distributions):
    assert problems("") == [None, "zlib-rs is missing", None]
    assert problems("new") == ["pillow 13.0 is installed, but needs >=99"]


def test_an_extra_of_extras_needs_the_packages_of_all(distributions):
    assert problems("all") == problems("new")
    names = [package.name for package in installation.packages("speed")]
    assert names == ["other", "plugin"]
    assert problems("speed") == [None, "plugin is missing"]


def test_versions_are_printed_with_the_device(jaxcorr):
    status, out, err = jaxcorr("--version")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("jaxcorr ") and lines[1].startswith("Python 3.")
    assert lines[2] == f"jax {importlib.metadata.version('jax')}"
    assert f"format of files {container.VERSION}" in lines
    assert lines[-1].startswith("device ")


@pytest.fixture
def only_sections(monkeypatch):
    """Returns a function that leaves some sections of the report."""

    def leave(**sections):
        monkeypatch.setattr(doctor, "SECTIONS", sections)

    return leave


def test_an_installation_that_works_passes(jaxcorr, only_sections):
    only_sections(
        Packages=lambda: iter([doctor.Entry(label="numpy", value="2", text="2")]),
        Coding=doctor.SECTIONS["Self-test"],
    )
    status, out, err = jaxcorr("doctor")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "jaxcorr: all is well"
    assert "computes the known correlation loss" in out
    assert max(map(len, lines)) <= 80


def test_an_error_in_one_part_does_not_hide_the_others(jaxcorr, only_sections):
    def broken():
        yield doctor.Entry(label="first", value=1, text="found")
        raise OSError("the disk\nis on fire")

    def fine():
        yield doctor.Entry(label="second", value=2, text="found too")

    only_sections(Broken=broken, Fine=fine)
    status, out, err = jaxcorr("doctor", "--json", "-")
    assert status == 1
    assert json.loads(out) == {
        "broken": {"first": 1, "error": "OSError: the disk is on fire"},
        "fine": {"second": 2},
        "problems": 1,
    }
    assert err.splitlines()[-1] == "jaxcorr: 1 check failed"


def test_every_part_of_the_report_is_json(jaxcorr):
    status, _, err = jaxcorr("doctor", "--json", "report.json")
    assert "Traceback" not in err
    with open("report.json") as file:
        report = json.load(file)
    assert set(report) == {"problems", *(name.lower() for name in doctor.SECTIONS)}
    assert status == bool(report["problems"])
    assert all(test["passed"] for test in report["self-test"].values())


def test_a_wrong_result_fails_the_self_test(jaxcorr, only_sections, monkeypatch):
    only_sections(Coding=doctor.SECTIONS["Self-test"])
    monkeypatch.setattr(self_test, "LOSS", self_test.LOSS * 1.001)
    monkeypatch.setattr(self_test, "PICTURE_MEANS", (0.0, 0.0, 0.0))
    status, out, _ = jaxcorr("doctor")
    assert status == 1
    failed = [line for line in out.splitlines() if line.startswith("!")]
    assert [line.split()[1] for line in failed] == ["decode", "loss"]


def test_the_known_loss_is_that_of_the_definition():
    latents = self_test.known_latents()
    ones = np.ones_like(latents)
    assert float(correlation_loss(latents, 0 * ones, ones)) == pytest.approx(
        self_test.LOSS, rel=1e-5
    )
