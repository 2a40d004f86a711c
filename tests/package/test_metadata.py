"""The metadata of the distribution agree with the repository."""

import re
import tomllib

import pytest
from support.paths import ROOT

pytestmark = pytest.mark.fast

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
ADDRESS = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
ADDRESS_OF_JAXCORR = re.compile(r"https?://[\w.-]+(?:/[\w.-]+)*?/jaxcorr\b")
PAGES = [
    *(ROOT / name for name in ("CITATION.cff", "mkdocs.yml", "noxfile.py")),
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "colab").glob("*.ipynb"),
]


def test_no_page_has_another_address_of_the_repository():
    found = {
        (path.name, address)
        for path in PAGES
        for address in ADDRESS_OF_JAXCORR.findall(path.read_text())
    }
    assert {(name, address) for name, address in found if address != ADDRESS} == set()


def test_the_address_is_recognized():
    assert ADDRESS_OF_JAXCORR.findall(f"see {ADDRESS}/blob/main/README.md") == [ADDRESS]


def test_no_release_is_made_with_a_placeholder():
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    (placeholder,) = re.findall(r"! grep -F '(\S+)' pyproject.toml", workflow)
    assert ADDRESS.startswith(placeholder) == (".example" in ADDRESS)


def test_classifiers_name_the_pythons_that_are_resolved():
    script = (ROOT / ".ci" / "resolve.py").read_text()
    (listed,) = re.findall(r"^PYTHONS = \((.*)\)$", script, re.MULTILINE)
    prefix = "Programming Language :: Python :: 3."
    named = [x for x in PROJECT["classifiers"] if x.startswith(prefix)]
    assert named == [
        f"Programming Language :: Python :: {version}"
        for version in re.findall(r"[\d.]+", listed)
    ]


def test_license_files_are_those_of_the_license_expression():
    assert PROJECT["license"] == "Apache-2.0 AND LicenseRef-jaxcorr-demo"
    for name in PROJECT["license-files"]:
        assert (ROOT / name).is_file()


def test_the_package_is_typed():
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (ROOT / "jaxcorr" / "py.typed").is_file()
