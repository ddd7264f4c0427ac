"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake of the user's: the message is one line naming what, the value and what is allowed.

    Command lines print it and exit with status 2; libraries let it through.
    """
