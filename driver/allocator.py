"""Gives out regions of a core's memory."""

from bisect import insort
from collections.abc import Sequence

from ..spec.errors import UserError
from ..spec.layout import ALIGNMENT, aligned


class Allocator:
    """Gives out regions at multiples of `ALIGNMENT`, the first that fit, in `size` bytes from `base` on."""

    def __init__(self, base: int, size: int):
        first = aligned(base)
        self._size = max(0, base + size - first) // ALIGNMENT * ALIGNMENT
        self._free = [(first, self._size)] if self._size else []
        self._used: dict[int, int] = {}

    @property
    def free_bytes(self) -> int:
        return sum(size for _, size in self._free)

    def allocate(self, sizes: Sequence[int], what: str) -> tuple[int, ...]:
        """Returns addresses of new regions, all or none. Raises `UserError` without room for `what`."""
        before = list(self._free), dict(self._used)
        try:
            return tuple(self._take(aligned(max(1, size)), what) for size in sizes)
        except UserError:
            self._free, self._used = before
            raise

    def _take(self, size: int, what: str) -> int:
        for index, (address, room) in enumerate(self._free):
            if room >= size:
                self._free[index : index + 1] = [(address + size, room - size)] if room > size else []
                self._used[address] = size
                return address
        largest = max((room for _, room in self._free), default=0)
        raise UserError(
            f"memory must have {size} free bytes in a piece for {what}, and has {largest} of {self._size}"
        )

    def release(self, address: int) -> None:
        """Gives a region back. `KeyError` if there is none at `address`."""
        insort(self._free, (address, self._used.pop(address)))
        merged = [self._free[0]]
        for start, size in self._free[1:]:
            before, room = merged[-1]
            if before + room == start:
                merged[-1] = (before, room + size)
            else:
                merged.append((start, size))
        self._free = merged
