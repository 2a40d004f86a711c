"""What a user can get wrong."""


class UserError(ValueError):
    """A mistake in what the user gave: the thing, the rule and the value, in one line.

    The command line prints the message after `jaxcorr: error: ` and exits with 2.
    """
