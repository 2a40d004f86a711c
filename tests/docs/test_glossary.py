"""The glossary names things that exist in the code."""

import dataclasses
import importlib
import inspect
import re

import pytest
from support.paths import ROOT

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
HEADER = ["term", "symbol", "unit", "definition", "in code"]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


ROWS = [
    cells(line)
    for line in GLOSSARY.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]
TERMS = [row for row in ROWS if row != HEADER]
NAMES = sorted({name for row in TERMS for name in re.findall(r"`([^`]+)`", row[-1])})


def resolve(name):
    """Imports the module at the start of a name and looks up the rest.

    Raises:
      ModuleNotFoundError: If a part that must be a module is missing.
      AttributeError: If the module has no such attribute.
    """
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(["jaxcorr", *parts[:end]]))
        except ModuleNotFoundError:
            if end == 1:
                raise
            continue
        for part in parts[end:]:
            value = None if has_field(value, part) else getattr(value, part)
        return


def has_field(owner, name):
    """Returns whether instances of a class get an attribute when they are made."""
    if not inspect.isclass(owner):
        return False
    if dataclasses.is_dataclass(owner):
        return name in {field.name for field in dataclasses.fields(owner)}
    return name in inspect.signature(owner.__init__).parameters


@pytest.mark.parametrize("name", NAMES)
def test_name_in_code_exists(name):
    resolve(name)


@pytest.mark.parametrize("name", ["no_module", "codec.Nothing", "codec.Codec.nothing"])
def test_a_missing_name_is_noticed(name):
    with pytest.raises((ModuleNotFoundError, AttributeError)):
        resolve(name)


def test_every_term_has_one_definition_and_a_name_in_code():
    assert len(TERMS) > 50
    assert len({row[0] for row in TERMS}) == len(TERMS)
    for row in TERMS:
        assert len(row) == len(HEADER), row
        assert row[3].endswith("."), row
        assert row[4].startswith("`"), row
