"""Errors in the input of a user, each with a message of one line."""

from typing import Any, ClassVar

START_AGAIN = 75
"""Exit status that asks to start the same command again (EX_TEMPFAIL)."""


class UserError(ValueError):
    """An error in the input of a user.

    The message has one line, with the thing, the rule and the value. The command line
    prints it after `jaxcorr: error: ` and exits with the status of the class.
    """

    status: ClassVar[int] = 2


class StorageError(UserError):
    """A refusal of a disk or a bucket, which is not about a single file."""


class TransientError(UserError):
    """A failure of storage, of the network or of another process, which may pass."""

    status = START_AGAIN


class FieldError(UserError):
    """An invalid value of a field of a config.

    The message names the field by its class, as in `Minnen.width`, since a config does
    not know where it is used. The command line replaces that name by the flag.

    Args:
      config: The config.
      field: Name of the field.
      problem: The rule and the value.

    Attributes:
      owner: Class of the config.
      field: Name of the field.
      problem: The rule and the value.
    """

    def __init__(self, config: Any, field: str, problem: str):
        self.owner, self.field, self.problem = type(config), field, problem
        super().__init__(f"{self.owner.__name__}.{field} {problem}")


def require(config: Any, field: str, rule: str, holds: bool) -> None:
    """Raises an error about a field of a config, unless its rule holds.

    Args:
      config: The config.
      field: Name of the field.
      rule: Rule of the field, which completes "must be …".
      holds: Whether the value meets the rule.

    Raises:
      FieldError: If the value does not meet the rule.
    """
    if not holds:
        value = getattr(config, field)
        shown = f"{value:g}" if isinstance(value, float) else value
        shown = repr(value) if isinstance(value, str) else shown
        raise FieldError(config, field, f"must be {rule}, but is {shown}")
