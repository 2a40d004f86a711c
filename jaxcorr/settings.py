"""Settings, which are frozen dataclasses, as JSON and back."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxcorr.errors import UserError

KIND = "kind"
"""Key under which the name of a dataclass is written, to tell alternatives apart."""

Settings = TypeVar("Settings")


def to_json(settings: Any, *, omit_defaults: bool = False) -> Any:
    """Nested dictionaries of the fields of a dataclass, each with its class's name.

    Args:
      settings: The dataclass.
      omit_defaults: Whether to leave out fields that have their default, so that the
        result stays the same when a later version adds a field.
    """
    if dataclasses.is_dataclass(settings):
        default = type(settings)() if omit_defaults else None
        values = {
            name: to_json(value, omit_defaults=omit_defaults)
            for name, value in _fields_of(settings).items()
            if not omit_defaults or value != getattr(default, name)
        }
        return {KIND: type(settings).__name__} | values
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
    if not isinstance(values, Mapping):
        raise UserError(f"{name}: {kind.__name__} must be an object, not {values!r}")
    if values.get(KIND, kind.__name__) != kind.__name__:
        raise UserError(f"{name}: unknown {KIND} {values[KIND]!r}")
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    for key in values:
        if key != KIND and key not in known:
            guess = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {guess[0]}?)" if guess else ""
            raise UserError(f"{name}: {kind.__name__} has no field {key!r}{hint}")
    given = {
        key: _value(hints[key], value, name)
        for key, value in values.items()
        if key != KIND
    }
    return kind(**given)


def freeze_list(settings: Any, name: str) -> None:
    """Turns a list in a field of frozen settings into a tuple; refuses an empty one.

    Raises:
      UserError: If there is nothing in it.
    """
    value = getattr(settings, name)
    if isinstance(value, list):
        object.__setattr__(settings, name, tuple(value))
    if isinstance(value, tuple | list) and not value:
        raise UserError(f"{name.replace('_', '-')} must have at least one value")


def alternatives(value: Any) -> tuple[Any, ...]:
    """All values of a field that has one or several."""
    return value if isinstance(value, tuple) else (value,)


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


def _fields_of(settings: Any) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}


def _value(hint: Any, value: Any, name: str) -> Any:
    """A field's value: a dataclass where its type is one, or one of several."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices: list[Any] = [
        choice
        for choice in (typing.get_args(hint) if union else (hint,))
        if dataclasses.is_dataclass(choice)
    ]
    if isinstance(value, dict) and choices:
        named = {choice.__name__: choice for choice in choices}
        return from_json(named.get(value.get(KIND), choices[0]), value, name)
    return tuple(value) if isinstance(value, list) else value
