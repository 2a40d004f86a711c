"""Mistakes of users, each told in one line."""

from typing import Any


class UserError(ValueError):
    """A mistake in the input of a user: the thing, the rule and the value, in one line.

    The command line prints the message after `jaxcorr: error: ` and exits with 2.
    """


class FieldError(UserError):
    """A field of a config with a value that it must not have.

    The message names the field by its class, as in `Minnen.width`, since a config does
    not know where it is used. The command line replaces that by the flag.

    Attributes:
      owner: Class of the config.
      field: Name of the field.
      problem: The rule and the value.
    """

    def __init__(self, config: Any, field: str, problem: str):
        """Composes the message."""
        self.owner, self.field, self.problem = type(config), field, problem
        super().__init__(f"{self.owner.__name__}.{field} {problem}")


def require(config: Any, field: str, rule: str, holds: bool) -> None:
    """Checks a field of a config.

    Args:
      config: The config.
      field: Name of the field.
      rule: Completes "must be …".
      holds: Whether the value obeys the rule.

    Raises:
      FieldError: If it does not.
    """
    if not holds:
        value = getattr(config, field)
        shown = f"{value:g}" if isinstance(value, float) else value
        shown = repr(value) if isinstance(value, str) else shown
        raise FieldError(config, field, f"must be {rule}, but is {shown}")
