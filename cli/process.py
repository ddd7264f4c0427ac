"""What surrounds a command: the standard output and error as they were given.

It imports the standard library alone, and little of it.
"""

import codecs
import io
import os
import sys
from typing import Any


def say(text: str) -> None:
    """Writes a line to the standard error, if there is one that takes it."""
    try:
        print(f"mixpe: {text}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)


def open_standard_files() -> None:
    """Makes the standard files fit to use.

    The numbers of closed ones are taken, so that no file that is opened later gets what a program prints.
    Letters that an output's encoding lacks are escaped, and bytes of files' names stay as they are.
    Ends the process where the standard output is closed: whatever it does, nobody would see it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        say("error: the standard output is closed: send it to a file, or to /dev/null")
        sys.exit(2)
    codecs.register_error("mixpe", _encoded)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(sys.stdout.fileno(), "wb", closefd=False)),
            encoding=sys.stdout.encoding,
            errors="mixpe",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="mixpe")


class _Output(io.FileIO):
    """The standard output, named in errors."""

    def write(self, content: Any, /) -> int | None:
        try:
            return super().write(content)
        except OSError as error:
            silence(self)  # Python would complain again at its end
            raise OSError(error.errno, error.strerror, "the standard output") from None


def silence(stream: object) -> None:
    """Sends nowhere what is written to a stream from now on."""
    try:
        number = stream.fileno()  # type: ignore[attr-defined]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    except (AttributeError, OSError, ValueError):  # no file of the system's
        pass


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encodes what an encoding lacks: a byte of a file's name as that byte, a letter escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= letter <= "\udcff" for letter in text):
        return bytes(ord(letter) - 0xDC00 for letter in text), error.end
    return text.encode("ascii", "backslashreplace"), error.end
