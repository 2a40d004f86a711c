"""Converts settings, which are frozen dataclasses, to JSON and back.

Names in files are separate from names in code. A settings class states its name in
files with `@stored(NAME)`. A field that was renamed states its name in files with
`field(metadata=stored_as(NAME))`. Fingerprints hash the names in files, so that classes
and fields can be renamed without changing a model or a file.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jaxcorr.errors import UserError, require

KIND = "kind"
"""Key of the stored name of a class, which identifies one of several classes."""

Settings = TypeVar("Settings")

_STORED, _UPGRADE = "_stored_name", "_upgrade_stored"


def stored(
    name: str,
    *,
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> Callable[[type[Settings]], type[Settings]]:
    """Decorates a settings class with its name in files.

    New settings whose type is a `Literal` are checked: a `FieldError` lists its values.

    Args:
      name: Name in files, which must never change.
      upgrade: Converts the fields of an earlier version to the fields of today.
    """

    def name_class(kind: type[Settings]) -> type[Settings]:
        setattr(kind, _STORED, name)
        setattr(kind, _UPGRADE, staticmethod(upgrade) if upgrade else None)
        _check_choices(kind)
        return kind

    return name_class


def _check_choices(kind: type) -> None:
    """Lets the constructor of a dataclass refuse values that its literals lack."""
    hints = typing.get_type_hints(kind)
    choices = {
        field.name: found
        for field in dataclasses.fields(kind)
        if (found := _choices(hints[field.name]))
    }
    if not choices:
        return
    initialize = kind.__init__

    @functools.wraps(initialize)
    def initialize_and_check(self, *args, **kwargs):
        initialize(self, *args, **kwargs)
        for name, values in choices.items():
            rule = f"one of {', '.join(map(str, values))}"
            require(self, name, rule, getattr(self, name) in values)

    kind.__init__ = initialize_and_check


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Returns the values of a literal, or of an optional one; none for other types."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    *others, last = typing.get_args(annotation) or (None,)
    is_optional = len(others) == 1 and last is types.NoneType
    values = _choices(others[0]) if is_optional else ()
    return (*values, None) if values else ()


def stored_as(name: str) -> Mapping[str, str]:
    """Returns the metadata of a field that has another name in files."""
    return {_STORED: name}


def stored_name(kind: Any) -> str:
    """Returns the name in files of a settings class, or of the class of an instance.

    Raises:
      TypeError: If the class has no name in files.
    """
    name = getattr(kind, _STORED, None)
    if name is None:
        kind = kind if isinstance(kind, type) else type(kind)
        raise TypeError(f"{kind.__name__} has no stored name: decorate it with @stored")
    return name


def stored_fields(kind: Any) -> dict[str, str]:
    """Returns the name in files of each field of a settings class, by name in code."""
    fields = dataclasses.fields(kind)
    return {field.name: field.metadata.get(_STORED, field.name) for field in fields}


def flag(settings: Any, path: Sequence[str]) -> str:
    """Returns the command-line flag of a field, given its path of names in files.

    Args:
      settings: The settings that the path starts from.
      path: Names in files of nested fields.
    """
    names = []
    for stored in path:
        fields = stored_fields(settings) if dataclasses.is_dataclass(settings) else {}
        names_in_code = {in_file: in_code for in_code, in_file in fields.items()}
        name = names_in_code.get(stored, stored)
        settings = getattr(settings, name, None)
        names.append(name.replace("_", "-"))
    return ".".join(names)


def to_json(settings: Any, *, omit_defaults: bool = False) -> Any:
    """Converts settings to nested dictionaries with names in files.

    Args:
      settings: A dataclass, or the value of a field.
      omit_defaults: Whether to omit fields that have their default, so that a new field
        in a later version does not change the result.
    """
    if dataclasses.is_dataclass(settings):
        default = type(settings)() if omit_defaults else None
        values = {
            stored: to_json(getattr(settings, name), omit_defaults=omit_defaults)
            for name, stored in stored_fields(settings).items()
            if not omit_defaults or getattr(settings, name) != getattr(default, name)
        }
        return {KIND: stored_name(settings)} | values
    if isinstance(settings, tuple | list):
        return [to_json(value, omit_defaults=omit_defaults) for value in settings]
    return settings


def from_json(kind: type[Settings], values: Any, name: str) -> Settings:
    """Converts the result of `to_json`, of any version of jaxcorr, to settings.

    Args:
      kind: Class of the settings.
      values: Result of `to_json`. Missing fields get their defaults.
      name: Name of the file, for messages.

    Raises:
      UserError: If a field or class is unknown, since this version would ignore its
        meaning.
    """
    title = stored_name(kind)
    if not isinstance(values, Mapping):
        raise UserError(f"{name}: {kind.__name__} must be an object, not {values!r}")
    if values.get(KIND, title) != title:
        raise UserError(f"{name}: unknown {KIND} {values[KIND]!r}")
    upgrade = getattr(kind, _UPGRADE)
    values = upgrade(values) if upgrade else values
    hints = typing.get_type_hints(kind)
    fields = {stored: field for field, stored in stored_fields(kind).items()}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key == KIND:
            continue
        if key not in fields:
            guess = difflib.get_close_matches(key, fields, 1)
            hint = f" (did you mean {guess[0]}?)" if guess else ""
            raise UserError(f"{name}: {kind.__name__} has no field {key!r}{hint}")
        arguments[fields[key]] = _parse_value(hints[fields[key]], value, name)
    return kind(**arguments)


def differences(
    first: Any, second: Any, path: tuple[str, ...] = ()
) -> dict[tuple[str, ...], tuple[Any, Any]]:
    """Returns the paths at which two results of `to_json` differ, and both values.

    Args:
      first: Result of `to_json`.
      second: Another result.
      path: Prefix of the paths.
    """
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return {} if first == second else {path: (first, second)}
    different: dict[tuple[str, ...], tuple[Any, Any]] = {}
    for key in sorted(first.keys() | second.keys()):
        different |= differences(first.get(key), second.get(key), (*path, key))
    return different


def _parse_value(hint: Any, value: Any, name: str) -> Any:
    """Converts the value of a field, which may be a dataclass or one of several."""
    if isinstance(value, list):
        items = (*typing.get_args(hint), None)[0]  # None for a hint without items.
        return tuple(_parse_value(items, item, name) for item in value)
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices: list[Any] = [
        choice
        for choice in (typing.get_args(hint) if union else (hint,))
        if dataclasses.is_dataclass(choice)
    ]
    if isinstance(value, dict) and choices:
        kinds = {stored_name(choice): choice for choice in choices}
        kind = kinds.get(str(value.get(KIND)), choices[0])
        return from_json(kind, value, name)
    return value
