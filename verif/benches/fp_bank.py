"""Many copies of the floating-point units side by side, so that one simulator cycle tests many operands."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...gen.verilog import convert
from ...hw.config import ADD_STAGES, CAST_STAGES, INT_TO_FLOAT_STAGES, MULTIPLY_STAGES
from ...hw.formats import BF16, FP16, FP32
from ...hw.fp import FloatAdder, FloatCast, FloatMultiplier, IntToFloat
from ...hw.modules import Modules, place

OPERAND_BITS = 64  # of a lane: `a` below, `b` above
RESULT_BITS = 32  # of a unit; a shorter result has zeros above

Unit = FloatAdder | FloatCast | FloatMultiplier | IntToFloat

FACTORS = (
    (FP32, FP16), (FP32, FP32), (FP32, BF16), (FP16, FP16),
    (FP32, FP16), (FP32, FP32), (BF16, BF16), (FP16, FP32),
)  # fmt: skip
INT_WIDTHS = (19, 24, 25, 38, 2, 26, 33, 40)
CASTS = (FP32, FP16, BF16, FP16, BF16, FP16, BF16, FP16)
KINDS = len(FACTORS)


@dataclass(frozen=True)
class Spec:
    """A unit in a lane; it takes its operands from bit 0 of `a` and `b` up."""

    name: str
    make: Callable[[], Unit]
    latency: int


def specs(kind: int) -> tuple[Spec, ...]:
    """The units of a lane of `kind`, one of each class, in the order of their results from bit 0 up."""
    (a, b), width, to = FACTORS[kind], INT_WIDTHS[kind], CASTS[kind]
    return (
        Spec("add", FloatAdder, ADD_STAGES),
        Spec(f"multiply_{a.name}_{b.name}", partial(FloatMultiplier, a, b), MULTIPLY_STAGES),
        Spec(f"int{width}", partial(IntToFloat, width), INT_TO_FLOAT_STAGES),
        Spec(f"cast_{to.name}", partial(FloatCast, to), CAST_STAGES),
    )


UNITS = len(specs(0))
LANE_BITS = UNITS * RESULT_BITS


class Lane(wiring.Component):
    """The units of a kind, all fed with the same operands (an integer spans `a` and `b`)."""

    def __init__(self, kind: int, modules: Modules):
        self.kind = kind
        self.modules = modules
        super().__init__({"i": In(OPERAND_BITS), "o": Out(LANE_BITS)})

    def elaborate(self, _platform) -> Module:
        m = Module()
        lane: Any = self  # its ports are attributes made from the signature
        results = []
        for spec in specs(self.kind):
            unit = place(m, spec.name, spec.make, self.modules, f"fp_{spec.name}")
            if hasattr(unit, "i"):
                m.d.comb += unit.i.eq(lane.i)
            else:
                m.d.comb += [unit.a.eq(lane.i[:32]), unit.b.eq(lane.i[32:])]
            results.append(Cat(unit.o, Const(0, RESULT_BITS - len(unit.o))))
        m.d.comb += lane.o.eq(Cat(results))
        return m


class Bank(wiring.Component):
    """`lanes` lanes, lane 0 in the low bits. The kinds take turns: lane k is of kind k modulo `KINDS`."""

    def __init__(self, lanes: int, modules: Modules):
        self.lanes = lanes
        self.modules = modules
        super().__init__({"i": In(lanes * OPERAND_BITS), "o": Out(lanes * LANE_BITS)})

    def elaborate(self, _platform) -> Module:
        m = Module()
        bank: Any = self
        for k in range(self.lanes):
            kind = k % KINDS
            lane = place(m, f"lane{k}", partial(Lane, kind, self.modules), self.modules, f"fp_lane{kind}")
            m.d.comb += [
                lane.i.eq(bank.i.word_select(k, OPERAND_BITS)),
                bank.o.word_select(k, LANE_BITS).eq(lane.o),
            ]
        return m


def bank_verilog(lanes: int) -> str:
    """Verilog of a bank of `lanes` lanes: top module fp_bank, ports `clk`, `rst`, `i` and `o`."""
    return convert("fp_bank", partial(Bank, lanes))
