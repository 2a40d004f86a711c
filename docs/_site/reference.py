"""Text of pages that comes from the code: settings, and the help of the commands."""

import dataclasses
import functools
import os
import re
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

import griffe
from units import UNITS

from jaxcorr.config import CONTEXTS, TRANSFORMS, TrainConfig

PACKAGE = "jaxcorr"
COLUMNS = 88
"""Characters in a line of a page that is as wide as a desktop."""

NUMBERS = (int, float)
KINDS = {kind: name for names in (TRANSFORMS, CONTEXTS) for name, kind in names.items()}
"""Names on the command line of the classes that a part of a codec may have."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of a class of settings.

    Attributes:
      owner: Class of the field.
      name: Name of the field.
      annotation: Type of the field.
      default: Default value, as code; empty if there is none.
      text: Documentation of the field.
    """

    owner: type
    name: str
    annotation: Any
    default: str
    text: str

    @property
    def unit(self) -> str:
        """Unit of a number, or nothing.

        Raises:
          LookupError: If the table of units does not have the setting.
        """
        key = f"{self.owner.__name__}.{self.name}"
        if not _is_number(self.annotation):
            return ""
        if key not in UNITS:
            raise LookupError(f"{key} has no unit in docs/_site/units.py")
        return UNITS[key]


@functools.cache
def _package() -> griffe.Module:
    """Reads the package, which takes seconds, once for all pages."""
    package = griffe.load(PACKAGE)
    assert isinstance(package, griffe.Module)
    return package


def documented(path: str) -> griffe.Object | griffe.Alias:
    """Returns a name of the package with its documentation.

    Args:
      path: Path of the name, such as `jaxcorr.codec.Codec`.
    """
    return _package()[path.removeprefix(f"{PACKAGE}.")]


def settings_tables() -> str:
    """Returns the tables of all settings of a training run, as Markdown.

    Raises:
      LookupError: If a setting has no documentation or no unit.
    """
    top = [s for s in _settings(TrainConfig) if not _classes(s.annotation)]
    lines = ["## Run", "", *_table("", top)]
    for section in _settings(TrainConfig):
        for owner in _classes(section.annotation):
            lines += _section(section.name, owner)
    return "\n".join(lines) + "\n"


def command_helps() -> str:
    """Returns the help of every command except `train`, as Markdown.

    The flags of `train` are the settings, which have a page.

    Raises:
      subprocess.CalledProcessError: If a command prints no help.
    """
    from jaxcorr.cli import main

    lines = ["```text", _help(), "```", ""]
    for name in main.COMMANDS:
        if name != "train":
            common = " ".join(main.COMMON_FLAGS.split())
            lines += [f"## jaxcorr {name}", "", "```text"]
            lines += [_help(*name.split(), without=common), "```", ""]
    return "\n".join(lines)


def _section(name: str, owner: type) -> Iterator[str]:
    """Yields the lines of a class of settings, and of the classes of its fields."""
    settings = list(_settings(owner))
    yield from (f"## {name.capitalize()}", "", _summary(owner), "")
    plain = [s for s in settings if not _classes(s.annotation)]
    if plain:
        yield from _table(f"{name}.", plain)
    for setting in settings:
        for choice in _classes(setting.annotation):
            kind = f" {KINDS[choice]}" if choice in KINDS else ""
            yield from (f"### {name}.{setting.name}{kind}", "")
            yield from (f"`{choice.__name__}`. {_summary(choice)}", "")
            fields = list(_settings(choice))
            if fields:
                yield from _table(f"{name}.{setting.name}.", fields)


def _table(prefix: str, settings: list[Setting]) -> Iterator[str]:
    yield from (
        "| setting | type | unit | default | meaning |",
        "| --- | --- | --- | --- | --- |",
    )
    for setting in settings:
        cells = (
            f"`{prefix}{setting.name}`",
            f"`{_type_name(setting.annotation)}`",
            setting.unit,
            f"`{setting.default}`" if setting.default else "",
            setting.text,
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _settings(owner: type) -> Iterator[Setting]:
    """Yields the fields of a class of settings in their order."""
    members = documented(f"{owner.__module__}.{owner.__name__}").members
    annotations = typing.get_type_hints(owner)
    for field in dataclasses.fields(owner):
        docstring = members[field.name].docstring
        if docstring is None:
            raise LookupError(f"{owner.__name__}.{field.name} has no documentation")
        default = members[field.name].value
        is_section = bool(_classes(annotations[field.name]))
        yield Setting(
            owner=owner,
            name=field.name,
            annotation=annotations[field.name],
            default="" if default is None or is_section else _default(field),
            text=" ".join(docstring.value.split()),
        )


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    return ""


def _summary(owner: type) -> str:
    return (owner.__doc__ or "").split("\n\n")[0].replace("\n    ", " ")


def _classes(annotation: Any) -> list[type]:
    """Returns the classes of settings of a field; none if it holds a plain value."""
    options = _options(annotation)
    return [x for x in options if dataclasses.is_dataclass(x) and isinstance(x, type)]


def _options(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)
    # A sequence of settings, such as the stages of a run.
    return typing.get_args(annotation) or (annotation,)


def _is_number(annotation: Any) -> bool:
    """Returns whether a value is a number, or is made of numbers."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return False
    return annotation in NUMBERS or any(_is_number(x) for x in arguments)


def _type_name(annotation: Any) -> str:
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if typing.get_args(annotation):
        name = str(annotation)
    for module in ("typing.", "collections.abc."):
        name = name.replace(module, "")
    return name


def _help(*arguments: str, without: str = "") -> str:
    """Returns the help of a command in lines that fit a page.

    Args:
      arguments: Words of the command.
      without: A line to leave out.
    """
    command = [sys.executable, "-m", PACKAGE, *arguments, "--help"]
    environment = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    lines = [line.strip() for line in result.stdout.splitlines()]
    text = "\n".join(
        line if len(line) <= COLUMNS else _wrap(line)
        for line in lines
        if not without or line != without
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip()


def _wrap(line: str) -> str:
    """Breaks a line between words, and a list of choices after a comma."""
    indent = " " * 4 if line.startswith("usage:") else ""
    words = line.replace(",", ", ") if indent else line
    text = textwrap.fill(words, COLUMNS, subsequent_indent=indent)
    return text.replace(", ", ",") if indent else text
