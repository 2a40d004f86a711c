"""What a user can get wrong, told in one line."""

import contextlib
import sys
from collections.abc import Iterator


class UserError(ValueError):
    """A mistake in what the user gave: the thing, the rule and the value, in one line.

    The command line prints the message after `jaxcorr: error: ` and exits with 2.
    """


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """Ends the program with one line on standard error at a UserError or at Ctrl-C."""
    try:
        yield
    except UserError as error:
        print(f"jaxcorr: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("jaxcorr: interrupted", file=sys.stderr)
        sys.exit(130)  # What a shell reports for a program that SIGINT ended.
