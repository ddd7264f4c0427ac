"""Counts transitions in a value change dump (VCD, IEEE 1364-2001 section 18), one-bit variables only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK = 1 << 24
_HASH, _ZERO, _ONE = b"#01"


@dataclass(frozen=True)
class Counts:
    """Holds each variable's transitions (0 to 1, 1 to 0), and its time at 1 in the dump's time steps."""

    names: list[str]
    transitions: np.ndarray
    high: np.ndarray
    unknown: list[str]


def count_transitions(path: Path, start: int, end: int) -> Counts:
    """Counts in a dump that begins at time `start` with every variable's value, up to `end`.

    `unknown` names the variables that are x or z at some time between.
    """
    with path.open("rb") as file:
        codes, names = _declarations(file)
        order = np.argsort(codes)
        codes = codes[order]
        first = np.r_[True, codes[1:] != codes[:-1]] if len(codes) else np.zeros(0, bool)
        unique = codes[first]
        index_of = np.empty(len(codes), np.int64)
        index_of[order] = np.cumsum(first) - 1  # a net of several names has one code
        counter = _Counter(len(unique), start, end)
        time = start
        for chunk in _chunks(file):
            time, more = counter.add(chunk, unique, time)
            if not more:
                break
    transitions, high = counter.finish()
    return Counts(
        names,
        transitions[index_of],
        high[index_of],
        [name for name, index in zip(names, index_of, strict=True) if counter.unknown[index]],
    )


def _declarations(file: BinaryIO) -> tuple[np.ndarray, list[str]]:
    """Returns identifier codes as numbers, and names, in the order of the declarations."""
    codes, names = [], []
    for line in file:
        words = line.split()
        if words[:1] == [b"$var"]:
            if words[2] != b"1":
                raise ValueError(
                    f"variable {words[4].decode()} of the dump has {words[2].decode()} bits, not 1"
                )
            codes.append(_number(words[3]))
            names.append(words[4].decode())
        elif words[:1] == [b"$enddefinitions"]:
            break
    return np.array(codes, np.int64), names


def _number(code: bytes) -> int:
    """Returns an identifier code as a number. Its characters, 33 to 126, are digits from 1 to 94."""
    return sum((char - 32) * 95**place for place, char in enumerate(code))


def _chunks(file: BinaryIO) -> Iterator[np.ndarray]:
    """Yields the rest of the file, in pieces of whole lines."""
    left = b""
    while data := file.read(_CHUNK):
        data = left + data
        cut = data.rfind(b"\n") + 1
        left = data[cut:]
        yield np.frombuffer(data, np.uint8, cut)
    if left:
        yield np.frombuffer(left + b"\n", np.uint8)


class _Counter:
    def __init__(self, count: int, start: int, end: int):
        self._start, self._end = start, end
        self._value = np.full(count, -1, np.int8)
        self._transitions = np.zeros(count, np.int64)
        self._high = np.zeros(count)
        self.unknown = np.zeros(count, bool)

    def add(self, data: np.ndarray, codes: np.ndarray, time: int) -> tuple[int, bool]:
        """Counts the lines `data`, which begin at `time`; returns their last time and whether to go on."""
        ends = np.flatnonzero(data == 10)
        starts = np.r_[0, ends[:-1] + 1]
        kept = ends > starts
        starts, ends = starts[kept], ends[kept]
        kind = data[starts]
        is_time = kind == _HASH
        times = np.r_[time, _decimals(data, starts[is_time] + 1, ends[is_time])]
        when = times[np.cumsum(is_time)]
        is_value = np.isin(kind, np.frombuffer(b"01xXzZ", np.uint8)) & (when < self._end)
        if is_value.any():
            starts, ends, kind, when = (array[is_value] for array in (starts, ends, kind, when))
            found = np.searchsorted(codes, _identifiers(data, starts + 1, ends))
            value = np.where(kind == _ONE, 1, np.where(kind == _ZERO, 0, 2)).astype(np.int8)
            self._count(found, value, when)
        return int(times[-1]), times[-1] < self._end

    def _count(self, index: np.ndarray, value: np.ndarray, when: np.ndarray) -> None:
        order = np.argsort(index, kind="stable")
        index, value, when = index[order], value[order], when[order]
        first = np.r_[True, index[1:] != index[:-1]]
        before = np.r_[np.int8(0), value[:-1]]
        before[first] = self._value[index[first]]
        size = len(self._value)
        self.unknown[index[value == 2]] = True
        rises, falls = (value == 1) & (before != 1), (before == 1) & (value != 1)
        counted = (rises & (before == 0)) | (falls & (value == 0))
        self._transitions += np.bincount(index[counted], minlength=size)
        since = (when - self._start).astype(np.float64)
        self._high += np.bincount(index[falls], since[falls], size)
        self._high -= np.bincount(index[rises], since[rises], size)
        last = np.r_[first[1:], True]
        self._value[index[last]] = value[last]

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        high = self._high + (self._value == 1) * float(self._end - self._start)
        return self._transitions, high


def _decimals(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return _digits(data, starts, ends, 48, 10, most_significant_first=True)


def _identifiers(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return _digits(data, starts, ends, 32, 95, most_significant_first=False)


def _digits(
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    zero: int,
    base: int,
    *,
    most_significant_first: bool,
) -> np.ndarray:
    """Returns the numbers that the characters from each start to its end spell."""
    numbers = np.zeros(len(starts), np.int64)
    lengths = ends - starts
    for place in range(int(lengths.max(initial=0))):
        there = lengths > place
        digit = data[starts[there] + place].astype(np.int64) - zero
        if most_significant_first:
            numbers[there] = numbers[there] * base + digit
        else:
            numbers[there] += digit * base**place
    return numbers
