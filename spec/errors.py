"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake of the user's: the message is one line naming what, the value and what is allowed.

    Command lines print it and exit with status 2; libraries let it through.
    """


def check_type(name: str, value: object, kind: type) -> None:
    """Raises `UserError` unless the argument `name` has the value of a `kind`."""
    if not isinstance(value, kind):
        raise UserError(f"{name} must be a {kind.__name__}, not a {type(value).__name__}")
