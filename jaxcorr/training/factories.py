"""Functions that settings name as MODULE:FUNCTION."""

import importlib
from typing import Any

from jaxcorr.errors import UserError


def is_factory_name(name: str) -> bool:
    """Returns whether a text has the form MODULE:FUNCTION."""
    module, _, function = name.partition(":")
    return bool(module) and function.isidentifier()


def call(name: str, *arguments: Any, **options: Any) -> Any:
    """Imports a function and calls it.

    Args:
      name: MODULE:FUNCTION.
      *arguments: Positional arguments of the function.
      **options: Keyword arguments of the function.

    Raises:
      UserError: If the function cannot be imported, or does not take the arguments.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)(*arguments, **options)
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"{name}: {error}") from error
