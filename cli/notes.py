"""What the software notes by the way, such as a cache that cannot be written: a line each."""

import logging

from .process import say


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {record.getMessage()}")


_NOTES = _Notes()


def show_notes() -> None:
    """Shows on the standard error what the logger `mixpe` is told, from warnings on."""
    logging.getLogger("mixpe").addHandler(_NOTES)  # once, however often it is added
