"""Full and half adders, visible as modules, so that synthesis can map each onto a library's own cell."""

from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ..modules import Modules, place
from ..ports import Component


@dataclass(frozen=True)
class Compression:
    """Holds what a heap cost.

    full_adders: adders that take a bit away: those of three bits, and those of the top column, whose
        carry falls outside the sum (there an exclusive or does).
    half_adders: adders of two bits (or two bits and a constant), which take none away.
    depth: adders on the longest path.
    floor: bits in less bits out, the least possible number of full adders.
    """

    full_adders: int
    half_adders: int
    depth: int
    floor: int


class FullAdder(Component):
    """Adds three bits: `2*carry + total = a + b + c`. Combinational.

    Ports
    -----
    a, b, c: in, 1: the bits.
    total: out, 1: the lower bit of their sum.
    carry: out, 1: the upper bit.
    """

    def __init__(self):
        super().__init__({"a": In(1), "b": In(1), "c": In(1), "total": Out(1), "carry": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.total.eq(self.a ^ self.b ^ self.c),
            self.carry.eq((self.a & self.b) | (self.c & (self.a ^ self.b))),
        ]
        return m


class HalfAdder(Component):
    """Adds two bits: `2*carry + total = a + b`. Combinational.

    Ports
    -----
    a, b: in, 1: the bits.
    total: out, 1: the lower bit of their sum.
    carry: out, 1: the upper bit.
    """

    def __init__(self):
        super().__init__({"a": In(1), "b": In(1), "total": Out(1), "carry": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.total.eq(self.a ^ self.b), self.carry.eq(self.a & self.b)]
        return m


class Adders:
    """Places one-bit adders in `m` and counts them.

    With `modules` each is an instance of the module `<prefix>_full_adder` or `<prefix>_half_adder`; without,
    plain logic of `m`, which elaborates faster.
    """

    def __init__(self, m: Module, modules: Modules | None = None, prefix: str = ""):
        self._m = m
        self._modules = modules
        self._prefix = prefix
        self.full_adders = 0
        self.half_adders = 0
        self.heaps: list[Compression] = []
        """What each bit heap cost that these adders summed."""

    def full(self, a: Value, b: Value, c: Value) -> tuple[Value, Value]:
        """Returns (total, carry) of three bits."""
        name = f"fa{self.full_adders}"
        self.full_adders += 1
        if self._modules is None:
            return self.wire(a ^ b ^ c), self.wire((a & b) | (c & (a ^ b)))
        adder = place(self._m, name, FullAdder, self._modules, f"{self._prefix}_full_adder", registers=False)
        self._m.d.comb += [adder.a.eq(a), adder.b.eq(b), adder.c.eq(c)]
        return adder.total, adder.carry

    def half(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Returns (total, carry) of two bits."""
        name = f"ha{self.half_adders}"
        self.half_adders += 1
        if self._modules is None:
            return self.wire(a ^ b), self.wire(a & b)
        adder = place(self._m, name, HalfAdder, self._modules, f"{self._prefix}_half_adder", registers=False)
        self._m.d.comb += [adder.a.eq(a), adder.b.eq(b)]
        return adder.total, adder.carry

    def half_plus_one(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Returns (total, carry) of two bits and a constant one: a half adder for constants."""
        self.half_adders += 1
        return self.wire(~(a ^ b)), self.wire(a | b)

    def wire(self, value: Value) -> Signal:
        """Returns `value` as a signal, so that what uses it twice does not repeat its logic."""
        wire = Signal(len(value), name="bit")
        self._m.d.comb += wire.eq(value)
        return wire
