"""Runs other programs, each in a process group of its own; says what to type where one is missing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

from ..spec.errors import UserError
from .interrupts import deferred

_POLL_SECONDS = 0.1

PYTHON = (sys.executable, "-P")
"""Begins the command of a Python program: modules in the working folder are the user's, not its own."""


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
    environment = os.environ | (variables or {})
    with _started(command, folder, environment, subprocess.PIPE) as child:
        for line in child.stdout or ():
            lines.append(line)
            if line_printed:
                line_printed(line)
        status = child.wait()
    return status, "".join(lines)


def run_into(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str] | None,
    stop: Event | None = None,
) -> int:
    """Runs `command` in `folder` with this environment; returns its exit status.

    output: the file that takes all it prints; None: it prints where this process does. stop: kills it, and
    all it has started, once it is set; so does an exception here.
    """
    with _started(command, folder, environment, output) as child:
        while stop is not None and not stop.is_set():
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_POLL_SECONDS)
        if stop is not None:
            _kill(child)
        return child.wait()


@contextmanager
def _started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], output: Any
) -> Iterator[subprocess.Popen[str]]:
    """Starts a program in a process group of its own, which is killed whole if an exception comes."""
    child = None
    try:
        with deferred():
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        with child:
            try:
                yield child
            except BaseException:
                _kill(child)
                raise
    except BaseException:
        if child:
            _kill(child)
        raise


def _kill(child: subprocess.Popen) -> None:
    """Kills a program and all it has started, and waits a little until they are gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    with suppress(ProcessLookupError, PermissionError):
        for _ in range(100):
            os.killpg(child.pid, 0)
            time.sleep(0.01)


def missing(what: str, *, debian: str, macos: str) -> UserError:
    """Returns the error for a program that is not there: `what`, then what to do.

    debian: the packages that hold it. macos: all the advice, such as `homebrew` gives.
    """
    advice = macos if sys.platform == "darwin" else f"type: sudo apt-get install {debian}"
    return UserError(f"{what}; {advice}")


def homebrew(packages: str) -> str:
    """Returns the advice to install `packages` of Homebrew."""
    return f"type: brew install {packages}"
