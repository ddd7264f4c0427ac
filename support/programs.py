"""Runs other programs, each in a process group of its own; says what to type where one is missing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..spec.errors import UserError


def run_program(
    command: Sequence[str],
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    line_printed: Callable[[str], None] | None = None,
) -> tuple[int, str]:
    """Runs `command` in `folder`; returns its exit status and all it prints, on either of its outputs.

    `variables` are set on top of the environment. `line_printed` is told each line as it comes.

    The program's process group ends with this function: an exception (an interrupt, one of `line_printed`)
    kills the program and all it has started.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | (variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                lines.append(line)
                if line_printed:
                    line_printed(line)
            status = child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    return status, "".join(lines)


def missing(what: str, *, debian: str, macos: str) -> UserError:
    """Returns the error for a program that is not there: `what`, then what to do.

    debian: the packages that hold it. macos: all the advice, such as `homebrew` gives.
    """
    advice = macos if sys.platform == "darwin" else f"type: sudo apt-get install {debian}"
    return UserError(f"{what}; {advice}")


def homebrew(packages: str) -> str:
    """Returns the advice to install `packages` of Homebrew."""
    return f"type: brew install {packages}"
