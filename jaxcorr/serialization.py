"""Settings, which are frozen dataclasses, as JSON and back.

Names in files are not names in code. A settings class states the name that it has in
files with `@stored(NAME)`, and a field whose name has changed since states its own with
`field(metadata=stored_as(NAME))`. Fingerprints hash these names, so classes and fields
can be renamed without changing a model or a file.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jaxcorr.errors import UserError

KIND = "kind"
"""Key under which the stored name of a class is written, to tell alternatives apart."""

Settings = TypeVar("Settings")

_STORED, _UPGRADE = "_stored_name", "_upgrade_stored"


def stored(
    name: str,
    *,
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> Callable[[type[Settings]], type[Settings]]:
    """Gives a class of settings the name that it has in files.

    Args:
      name: The name; once files hold it, it never changes.
      upgrade: Turns the fields that an earlier version wrote into those of today.
    """

    def name_class(kind: type[Settings]) -> type[Settings]:
        setattr(kind, _STORED, name)
        setattr(kind, _UPGRADE, staticmethod(upgrade) if upgrade else None)
        return kind

    return name_class


def stored_as(name: str) -> Mapping[str, str]:
    """Returns the metadata of a field that files know under another name."""
    return {_STORED: name}


def stored_name(kind: Any) -> str:
    """Returns the name in files of a class of settings, or of its instance.

    Raises:
      TypeError: If the class has none.
    """
    name = getattr(kind, _STORED, None)
    if name is None:
        kind = kind if isinstance(kind, type) else type(kind)
        raise TypeError(f"{kind.__name__} has no stored name: decorate it with @stored")
    return name


def stored_fields(kind: Any) -> dict[str, str]:
    """Returns the name in files of each field of a class of settings, by its name."""
    fields = dataclasses.fields(kind)
    return {field.name: field.metadata.get(_STORED, field.name) for field in fields}


def flag(settings: Any, path: Sequence[str]) -> str:
    """Returns a path of names in files as the command line writes it.

    Args:
      settings: The dataclass that the path starts from.
      path: Names in files of nested fields.
    """
    names = []
    for stored in path:
        fields = stored_fields(settings) if dataclasses.is_dataclass(settings) else {}
        name = next((name for name, file in fields.items() if file == stored), stored)
        settings = getattr(settings, name, None)
        names.append(name.replace("_", "-"))
    return ".".join(names)


def to_json(settings: Any, *, omit_defaults: bool = False) -> Any:
    """Nested dictionaries of the fields of a dataclass, by their names in files.

    Args:
      settings: The dataclass.
      omit_defaults: Whether to leave out fields that have their default, so that the
        result stays the same when a later version adds a field.
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
    """The dataclass that `to_json` wrote, perhaps with another version of jaxcorr.

    Args:
      kind: Class of the settings.
      values: What was written. Fields that are missing take their defaults.
      name: Where it was read, for messages.

    Raises:
      UserError: If a field or class is unknown: it may mean something that this version
        would ignore.
    """
    title = stored_name(kind)
    if not isinstance(values, Mapping):
        raise UserError(f"{name}: {kind.__name__} must be an object, not {values!r}")
    if values.get(KIND, title) != title:
        raise UserError(f"{name}: unknown {KIND} {values[KIND]!r}")
    upgrade = getattr(kind, _UPGRADE)
    values = upgrade(values) if upgrade else values
    hints = typing.get_type_hints(kind)
    known = {stored: field for field, stored in stored_fields(kind).items()}
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key == KIND:
            continue
        if key not in known:
            guess = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {guess[0]}?)" if guess else ""
            raise UserError(f"{name}: {kind.__name__} has no field {key!r}{hint}")
        given[known[key]] = _value(hints[known[key]], value, name)
    return kind(**given)


def differences(
    first: Any, second: Any, path: tuple[str, ...] = ()
) -> dict[tuple[str, ...], tuple[Any, Any]]:
    """Fields in which two results of `to_json` differ, with both values."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return {} if first == second else {path: (first, second)}
    found: dict[tuple[str, ...], tuple[Any, Any]] = {}
    for key in sorted(first.keys() | second.keys()):
        found |= differences(first.get(key), second.get(key), (*path, key))
    return found


def _value(hint: Any, value: Any, name: str) -> Any:
    """A field's value: a dataclass where its type is one, or one of several."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices: list[Any] = [
        choice
        for choice in (typing.get_args(hint) if union else (hint,))
        if dataclasses.is_dataclass(choice)
    ]
    if isinstance(value, dict) and choices:
        named = {stored_name(choice): choice for choice in choices}
        kind = named.get(str(value.get(KIND)), choices[0])
        return from_json(kind, value, name)
    return tuple(value) if isinstance(value, list) else value
