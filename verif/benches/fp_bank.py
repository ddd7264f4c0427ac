"""The floating-point units in lanes, and a harness that feeds a lane many operands for one call of Python."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mixpe.gen.verilog import convert
from mixpe.hw.fp import FloatAdder, FloatCast, FloatMultiplier, IntToFloat, Power
from mixpe.hw.modules import Modules, place
from mixpe.spec.formats.numbers import BF16, FP16, FP32
from mixpe.spec.stages import ADD_STAGES, CAST_STAGES, INT_TO_FLOAT_STAGES, MULTIPLY_STAGES

OPERAND_BITS = 64  # of a lane: `a` below, `b` above
BURST = 256  # operands a lane takes between two calls of the bench; a power of two
RESULT_BITS = 32  # of a unit; a shorter result has zeros above


@dataclass(frozen=True)
class Integer:
    """A factor that is an integer of `width` bits, converted first; times a power of two, if given."""

    width: int
    power: Power | None = None


class Scale(wiring.Component):
    """An integer in the bits around the FP16 number low in `b`, times that number.

    With a power of two, `b` holds its operand above the FP16 number (never 0), and the integer ends in `a`.
    """

    def __init__(self, integer: Integer):
        self.width = integer.width
        self.power = integer.power
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, _platform) -> Module:
        m = Module()
        ports: Any = self
        m.submodules.convert = convert = IntToFloat(self.width)
        m.submodules.multiply = multiply = FloatMultiplier(FP32, FP16, a_integer=self.width, power=self.power)
        operands = [Signal(32, name=f"b{k}") for k in range(INT_TO_FLOAT_STAGES + 1)]
        m.d.comb += operands[0].eq(ports.b)
        if self.power:
            power: Any = operands[-1][FP16.bits : FP16.bits + self.power.bits]
            m.d.comb += multiply.power.eq(power | ~power.any())
        m.d.sync += [after.eq(before) for before, after in pairwise(operands)]
        m.d.comb += [
            convert.i.eq(Cat(ports.a, ports.b[16:])),
            multiply.a.eq(convert.o),
            multiply.b.eq(operands[-1][: FP16.bits]),
            ports.o.eq(multiply.o),
        ]
        return m


Unit = FloatAdder | FloatCast | FloatMultiplier | IntToFloat | Scale

# Factors of a multiplier: formats, or an integer and FP16.
FACTORS = (
    (FP32, FP16), (FP32, FP32), (FP32, BF16), (FP16, FP16),
    (Integer(19), FP16), (Integer(38), FP16), (BF16, BF16), (FP16, FP32),
    (Integer(23, Power(8, 138)), FP16), (Integer(24, Power(5, 26)), FP16),
)  # fmt: skip
INT_WIDTHS = (19, 24, 25, 38, 2, 26, 33, 40, 51, 64)
CASTS = (FP32, FP16, BF16, FP16, BF16, FP16, BF16, FP16, BF16, FP16)
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
    if isinstance(a, Integer):
        name = f"scale_{a.width}" + (f"_{a.power.bits}_{a.power.offset}" if a.power else "")
        multiply = Spec(name, partial(Scale, a), INT_TO_FLOAT_STAGES + MULTIPLY_STAGES)
    else:
        multiply = Spec(f"multiply_{a.name}_{b.name}", partial(FloatMultiplier, a, b), MULTIPLY_STAGES)
    return (
        Spec("add", FloatAdder, ADD_STAGES),
        multiply,
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


_HARNESS = """
// Clocks one kind of lane at a time, feeding it BURST operands between two edges of `step`, so that the
// bench need not run for every operand. In cycle n of a burst the chosen lane takes word n of `i`, and
// word n of `o` becomes what it gave before. `kind` and `i` may change with the rising edge of `step`.
module fp_bank #(parameter BURST = {burst}) (
  input clk,
  input [{kind_bits} - 1:0] kind,
  input [BURST * {operand_bits} - 1:0] i,
  output reg [BURST * {lane_bits} - 1:0] o,
  output reg step
);
  reg [$clog2(BURST) - 1:0] n = 0;
  wire [{operand_bits} - 1:0] operand = i[n * {operand_bits} +: {operand_bits}];
  wire [{lane_bits} - 1:0] result [0:{kinds} - 1];
  always @(posedge clk) begin
    n <= n + 1'b1;
    o[n * {lane_bits} +: {lane_bits}] <= result[kind];
  end
  always @(negedge clk) step <= n == 0;
{lanes}endmodule
"""
_LANE = """\
  wire chosen{k} = kind == {k};  // the others rest, operands too: they cost nothing
  fp_lane{k} lane{k} (.clk(clk & chosen{k}), .rst(1'b0), .i(chosen{k} ? operand : 0), .o(result[{k}]));
"""


class _Lanes(wiring.Component):
    """A lane of each kind; only its modules are of interest."""

    def __init__(self, modules: Modules):
        self.modules = modules
        super().__init__({"i": In(OPERAND_BITS), "o": Out(KINDS * LANE_BITS)})

    def elaborate(self, _platform) -> Module:
        m = Module()
        lanes: Any = self
        for k in range(KINDS):
            lane = place(m, f"lane{k}", partial(Lane, k, self.modules), self.modules, f"fp_lane{k}")
            m.d.comb += [lane.i.eq(lanes.i), lanes.o.word_select(k, LANE_BITS).eq(lane.o)]
        return m


def bank_verilog() -> str:
    """Returns Verilog of a lane of each kind in the harness above: top module fp_bank."""
    harness = _HARNESS.format(
        burst=BURST,
        kinds=KINDS,
        kind_bits=(KINDS - 1).bit_length(),
        operand_bits=OPERAND_BITS,
        lane_bits=LANE_BITS,
        lanes="".join(_LANE.format(k=k) for k in range(KINDS)),
    )
    return convert("fp_lanes", _Lanes) + harness
