"""Requests to end: Ctrl-C, SIGTERM, a lost terminal.

Python runs handlers in its main thread only; in others all of this does nothing.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

INTERRUPTED = 130
"""The exit status of a program that was interrupted."""

_said: list[bool] = []
"""Not empty once an interrupt has come, which whoever meets it tells in its own words."""

_DEAF_SECONDS = 3
"""Seconds after an interrupt in which another one is dropped: what was begun is cleared away meanwhile."""


class Interrupts:
    """Makes a request to end `KeyboardInterrupt` meanwhile; `came` says whether there was one.

    A signal that is ignored from the start (nohup, a shell's background) stays ignored.

    at_once: leave at once, as long as there is nothing to clear away: an import may swallow an exception.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.came = False
        self._last = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        self._before = handle(self)
        return self

    def __exit__(self, *_: object) -> None:
        _restore(self._before)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.came and now - self._last < _DEAF_SECONDS:
            return
        if self.at_once:
            leave_at_once()
        self.came, self._last = True, now
        _said.append(True)
        raise KeyboardInterrupt


def leave_at_once(_number: int = 0, _frame: FrameType | None = None) -> None:
    """Ends the process, with the line of an interrupt: for when there is nothing to clear away."""
    if not _said:
        with suppress(OSError):
            os.write(2, b"mixpe: interrupted\n")
    os._exit(INTERRUPTED)


def handle(handler: Any) -> dict[signal.Signals, Any]:
    """Sets `handler` for all requests to end that are not ignored; returns those from before."""
    return _set([each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN], handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Ignores requests to end meanwhile."""
    before = _set(SIGNALS, signal.SIG_IGN)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def deferred() -> Iterator[None]:
    """Puts off requests to end: for a step that must not be cut in two, such as to start a process."""
    came: list[tuple[int, FrameType | None]] = []
    before = _set(SIGNALS, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        _restore(before)
        for number, frame in came[:1]:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler is signal.SIG_DFL:
                signal.raise_signal(number)


def _set(numbers: Sequence[signal.Signals], handler: Callable | signal.Handlers) -> dict[signal.Signals, Any]:
    """Sets `handler`; returns those from before, but None, which Python cannot set again."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    known = [number for number in numbers if signal.getsignal(number) is not None]
    return {number: signal.signal(number, handler) for number in known}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
