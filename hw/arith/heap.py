"""Bit heaps: sums of weighted bits, compressed by one-bit adders.

Each full adder takes three bits of a column and leaves one there and one in the next: it takes one bit away.
So a sum needs at least as many as the bits that go in less those that come out, and the heap reaches
that bound: constants cost half adders only. Bits that arrive first are added first, as in Oklobdzija's
three-greedy approach (1996).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Value

from .adders import Adders, Compression

# Arrival times in delays of a full adder; they only decide which bits are added first.
_FULL, _FULL_CARRY, _HALF, _HALF_CARRY = 1.0, 0.95, 0.5, 0.4


@dataclass(frozen=True)
class _Bit:
    value: Value
    arrival: float
    depth: int


class BitHeap:
    """Adds bits of weight 2**column modulo 2**`width`.

    Bits are collected (`add`, `subtract`, `add_word`, `add_constant`), then added once by `total` or, with
    carries apart, by `carry_save`; `compression` then tells the cost, as does `Adders.heaps`. Combinational.
    """

    def __init__(self, width: int, adders: Adders):
        self.width = width
        self._adders = adders
        self._columns: list[list[_Bit]] = [[] for _ in range(width)]
        self._constant = 0
        self._inputs, self._outputs = 0, width
        self._counts = {"full": 0, "half": 0}
        self._depth = 0

    def add(self, bit: Value, column: int, arrival: float = 0.0) -> None:
        """Adds `bit` * 2**column; `arrival`: when it is known, in delays of a full adder."""
        if column < self.width:
            self._columns[column].append(_Bit(bit, arrival, 0))
            self._inputs += 1

    def subtract(self, bit: Value, column: int, arrival: float = 0.0) -> None:
        """Subtracts `bit` * 2**column: -x is the inverse of x, less one."""
        self.add(self._adders.wire(~bit), column, arrival)
        self.add_constant(-1 << column)

    def add_constant(self, value: int) -> None:
        """Adds an integer of either sign."""
        self._constant += value

    def add_word(
        self, word: Value, column: int = 0, arrival: float = 0.0, *, is_signed: bool = False
    ) -> None:
        """Adds `word` * 2**column; the top bit of a signed word is subtracted."""
        for index, bit in enumerate(word):
            top = is_signed and index == len(word) - 1
            (self.subtract if top else self.add)(bit, column + index, arrival)

    def total(self, adder: str = "ripple") -> Value:
        """Adds the heap up; returns the sum, `width` bits.

        `adder`: "ripple": a carry chain that grows out of the compression, column by column; "prefix": a
        parallel-prefix adder (Sklansky 1960) over the last two rows; "plus": rows of bits added by `+`.
        """
        if adder == "plus":
            return self._plus()
        self._compress(height=2 if adder == "prefix" else 1)
        if adder == "prefix":
            total = self._prefix_sum()
        else:
            total = Cat(column[0].value for column in self._columns)
        self._adders.heaps.append(self.compression)
        return total

    def carry_save(self, save: Sequence[int]) -> tuple[Value, Value]:
        """Adds the heap up, with some carries kept apart; returns the sum, `width` bits, and these carries.

        Carry i has weight 2**save[i]: there a carry chain begins anew.

        `save` ascends. sum + carries = the heap's sum, modulo 2**width.
        """
        self._compress(height=2)
        saved: list[Value] = []
        total: list[Value] = []
        carry: _Bit | None = None
        for column, bits in enumerate(self._columns):
            if column in save:
                saved.append(carry.value if carry else Const(0, 1))
                self._outputs += carry is not None
                carry = None
            bits = bits + ([carry] if carry else [])
            carry = None
            while len(bits) > 1:
                left, carried = self._add(bits[:3], column)
                bits = [left, *bits[3:]]
                carry = carried or carry
            total.append(bits[0].value if bits else Const(0, 1))
        self._adders.heaps.append(self.compression)
        return Cat(total), Cat(saved)

    @property
    def compression(self) -> Compression:
        """Returns the cost of what was added so far; it is meaningful once the heap is summed."""
        return Compression(
            self._counts["full"], self._counts["half"], self._depth, self._inputs - self._outputs
        )

    def _compress(self, height: int) -> None:
        """Leaves each column at most `height` bits, at least one, and no constant."""
        for column in range(self.width):
            one = (self._constant >> column) & 1
            bits = self._columns[column]
            while len(bits) > height or one:
                bits.sort(key=lambda bit: bit.arrival)
                if one and len(bits) >= 2:
                    one, operands = 0, [bits.pop(0), bits.pop(0)]
                    left, carry = self._add(operands, column, one=True)
                elif one:
                    one = 0
                    left, carry = self._increment(bits.pop() if bits else None, column)
                elif len(bits) == 2:
                    left, carry = self._add([bits.pop(0), bits.pop(0)], column)
                else:
                    left, carry = self._add([bits.pop(0), bits.pop(0), bits.pop(0)], column)
                bits.append(left)
                if carry and column + 1 < self.width:
                    self._columns[column + 1].append(carry)
            if not bits:
                bits.append(_Bit(Const(0, 1), 0.0, 0))
                self._inputs += 1

    def _increment(self, bit: _Bit | None, column: int) -> tuple[_Bit, _Bit | None]:
        """Adds a bit and a constant one; returns its inverse, and itself as the carry: one bit more."""
        if bit is None:
            self._inputs += 1
            return _Bit(Const(1, 1), 0.0, 0), None
        inverse = _Bit(self._adders.wire(~bit.value), bit.arrival, bit.depth)
        if column == self.width - 1:
            return inverse, None
        self._inputs += 1
        return inverse, bit

    def _add(self, bits: Sequence[_Bit], column: int, *, one: bool = False) -> tuple[_Bit, _Bit | None]:
        """Adds two or three bits, or two and a constant one; in the top column there is no carry."""
        arrival = max(bit.arrival for bit in bits)
        depth = 1 + max(bit.depth for bit in bits)
        self._depth = max(self._depth, depth)
        values = [bit.value for bit in bits]
        full = len(bits) == 3
        delay, carry_delay = (_FULL, _FULL_CARRY) if full else (_HALF, _HALF_CARRY)
        if column == self.width - 1:
            # Two bits and a carry less; of three bits, two adders' worth.
            self._counts["full"] += len(bits) - 1
            parity = values[0] ^ values[1] ^ (values[2] if full else one)
            return _Bit(self._adders.wire(parity), arrival + delay, depth), None
        if full:
            total, carry = self._adders.full(*values)
        elif one:
            total, carry = self._adders.half_plus_one(*values)
        else:
            total, carry = self._adders.half(*values)
        self._counts["full" if full else "half"] += 1
        return _Bit(total, arrival + delay, depth), _Bit(carry, arrival + carry_delay, depth)

    def _plus(self) -> Value:
        """Adds rows, each of at most a bit a column, in pairs."""
        height = max(len(column) for column in self._columns)
        rows: list[Any] = [
            Cat(column[row].value if row < len(column) else Const(0, 1) for column in self._columns)
            for row in range(height)
        ]
        rows.append(Const(self._constant % (1 << self.width), self.width))
        while len(rows) > 1:
            pairs = zip(rows[::2], rows[1::2], strict=False)
            rows = [(a + b)[: self.width] for a, b in pairs] + (rows[-1:] if len(rows) % 2 else [])
        return rows[0]

    def _prefix_sum(self) -> Value:
        """Adds two rows: generate and propagate, combined over spans of 2, 4, 8 ... columns."""
        wire = self._adders.wire
        rows = [
            [column[row].value if row < len(column) else Const(0, 1) for column in self._columns]
            for row in range(2)
        ]
        propagate = [wire(a ^ b) for a, b in zip(*rows, strict=True)]
        generated = [wire(a & b) for a, b in zip(*rows, strict=True)]
        spread, span = list(propagate), 1
        while span < self.width:
            for column in range(self.width):
                if column & span:
                    low = (column | (span - 1)) ^ span  # the last column of the span below
                    generated[column] = wire(generated[column] | (spread[column] & generated[low]))
                    spread[column] = wire(spread[column] & spread[low])
            span *= 2
        # Every column of two bits takes one away, as a full adder does.
        self._counts["full"] += sum(len(column) - 1 for column in self._columns)
        self._depth += 2 + (self.width - 1).bit_length()
        return Cat(p ^ g for p, g in zip(propagate, [Const(0, 1), *generated], strict=False))
