"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake of the user's: the message is one line naming what, the value and what is allowed.

    Command lines print it and exit with status 2; libraries let it through.
    """


def check_type(name: str, value: object, *kinds: type) -> None:
    """Raises `UserError` unless the argument `name` has a value of one of the `kinds`."""
    if not isinstance(value, kinds):
        allowed = " or a ".join(kind.__name__ for kind in kinds)
        raise UserError(f"{name} must be a {allowed}, not a {type(value).__name__}")
