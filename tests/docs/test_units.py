"""Every number among the settings has a unit on the page of settings."""

import dataclasses
import runpy
import typing

from support.paths import ROOT

from jaxcorr.config import TrainConfig

UNITS = runpy.run_path(str(ROOT / "docs" / "_site" / "units.py"))["UNITS"]


def parts(annotation):
    """Yields the types that a type is made of."""
    arguments = typing.get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from parts(argument)


def numbers(owner):
    """Yields the settings of a class, and of the classes in it, that are numbers."""
    for name, annotation in typing.get_type_hints(owner).items():
        for part in parts(annotation):
            if part in (int, float):
                yield f"{owner.__name__}.{name}"
            elif dataclasses.is_dataclass(part):
                yield from numbers(part)


def test_every_number_among_the_settings_has_a_unit():
    assert set(numbers(TrainConfig)) == set(UNITS)
