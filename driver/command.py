"""Commands on their way through a core, what it counted of them, and how they may end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ..spec.registers import ERROR_MEANINGS, Error

if TYPE_CHECKING:
    from .queue import CommandQueue


class CommandError(RuntimeError):
    """Says that the core refused a command, ended it by an error, or dropped it behind one that ended so.

    error: why. Of a command dropped, that of the one before it.
    """

    def __init__(self, what: str, error: Error, *, dropped: bool = False):
        self.error = error
        meaning = ERROR_MEANINGS[error] if error else "the core dropped it without telling why"
        super().__init__(f"{what}: {'dropped behind a command that failed: ' if dropped else ''}{meaning}")


class HangError(RuntimeError):
    """Says that a core made no progress for longer than any command takes."""


@dataclass(frozen=True)
class Counters:
    """Holds what a core counted: the counters of `mixpe.spec.registers`, in cycles and bytes."""

    cycles: int = 0
    beats: int = 0
    stall_read: int = 0
    stall_array: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    def __sub__(self, earlier: Counters) -> Counters:
        """Returns what was counted since `earlier`."""
        return Counters(*(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)))

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Operation:
    """Holds what a command does, as the registers have it: regions, distances of rows, sizes."""

    m: int
    k: int
    n: int
    a_address: int
    w_address: int
    s_address: int
    t_address: int
    o_address: int
    a_stride: int
    o_stride: int

    def __str__(self) -> str:
        return f"product of M = {self.m}, K = {self.k}, N = {self.n}"


class Command:
    """Stands for a product that the core has taken; `Accelerator.submit` makes it.

    counters: what the core counted in it, once it is done and if no other command was under way in the
    meantime, else None.
    """

    def __init__(self, queue: CommandQueue, operation: Operation, tag: int):
        self.operation = operation
        self.tag = tag
        self.counters: Counters | None = None
        self._queue = queue
        self._out: np.ndarray | None = None
        self._failure: Exception | None = None

    def done(self) -> bool:
        """Whether it has ended, well or not; asks the core."""
        self._queue.collect()
        return self.ended

    def result(self) -> np.ndarray:
        """Waits for the end; out[M, N]. Raises `CommandError` or `HangError` if there is none."""
        while not self.ended:
            self._queue.advance()
        if self._failure is not None:
            raise self._failure
        assert self._out is not None
        return self._out

    @property
    def ended(self) -> bool:
        """Tells what `done` tells, as far as it is known without asking."""
        return self._out is not None or self._failure is not None

    def finish(self, out: np.ndarray, counters: Counters | None) -> None:
        self._out, self.counters = out, counters

    def fail(self, failure: Exception) -> None:
        self._failure = failure
