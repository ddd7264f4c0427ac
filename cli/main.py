"""The `mixpe` command: calls, and says in one line what went wrong.

Nothing is imported here that takes time: an interrupt must be met from the first moment on.
"""

import gc
import sys

if __name__ == "__main__" and sys.path and sys.orig_argv[1:2] == ["-m"] and not sys.flags.safe_path:
    # `python -m` looks for modules in the working folder first, where a user's platform.py is not Python's.
    del sys.path[0]

from typing import NoReturn

from ..support.interrupts import INTERRUPTED, Interrupts, handle, leave_at_once

if __name__ == "__main__" or sys.argv[0].endswith("mixpe"):
    # From here on, and again at the very end, when `main` is over.
    handle(leave_at_once)

from .process import open_standard_files, say

REFUSED = 2


def main() -> None:
    """Runs the command line: a user's mistake is one line and exit status 2, an interrupt one and 130."""
    open_standard_files()
    with Interrupts(at_once=__name__ == "__main__" or sys.argv[0].endswith("mixpe")) as interrupts:
        status = _status(interrupts)
    sys.exit(status)


def _status(interrupts: Interrupts) -> int:
    """Returns the exit status of the command that the arguments name."""
    import warnings

    with warnings.catch_warnings():
        try:
            return _call(interrupts)
        except BaseException as error:
            # What an interrupt broke may have raised something else on its way out.
            if not (interrupts.came or isinstance(error, KeyboardInterrupt)):
                raise
        # Amaranth complains of circuits that were begun and never used.
        warnings.simplefilter("ignore")
        gc.collect()
    say("interrupted")
    return INTERRUPTED


def _call(interrupts: Interrupts) -> int:
    import click

    from ..spec.errors import UserError
    from .notes import show_notes

    show_notes()

    try:
        from .commands import cli

        status = cli.main(prog_name="mixpe", standalone_mode=False, obj=interrupts)
        sys.stdout.flush()
    except click.ClickException as error:
        _fail(error.format_message())
    except UserError as error:
        _fail(str(error))
    except click.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        return REFUSED  # without a word: whoever reads has enough
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
    except MemoryError as error:
        _fail(f"not enough memory: {error}" if str(error) else "not enough memory")
    return status if isinstance(status, int) else 0


def _fail(message: str) -> NoReturn:
    say(f"error: {' '.join(message.split())}")
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
