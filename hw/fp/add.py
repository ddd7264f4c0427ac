"""The FP32 adder."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from ...spec.formats.numbers import FP32
from ...spec.stages import ADD_STAGES
from ..ports import Component
from .normalize import (
    add_carry,
    leading_zeros,
    named,
    register,
    round_and_pack,
    shift_left,
    shift_right_sticky,
)

_FRACTION = FP32.fraction_bits
_EXTRA = 3  # guard, round and sticky bits below the aligned significands
_SHIFT_BITS = 5  # a shift by 26 already leaves only the sticky bit


class FloatAdder(Component):
    """Computes `a + b` in FP32, rounded to nearest, ties to even.

    This is IEEE 754-2008 clause 5.4.1 (addition): subnormals in and out, overflow to infinity (clause 7.4),
    an exact zero sum of opposite signs is +0 (clause 6.3), inf - inf and every NaN give the canonical NaN
    (clauses 6.2 and 7.2). One result per cycle, no flow control.

    Ports
    -----
    a, b: in, 32 bits, cycle t: FP32 codes.
    o: out, 32 bits, cycle t + `ADD_STAGES`: the FP32 code of the sum.
    """

    latency = ADD_STAGES

    def __init__(self):
        super().__init__({"a": In(FP32.bits), "b": In(FP32.bits), "o": Out(FP32.bits)})

    def elaborate(self, platform) -> Module:
        m = Module()

        # 1: order the operands by magnitude (of NaN, infinity and numbers, in this order); how far apart.
        swap = named(m, self.a[:-1] < self.b[:-1], name="swap")
        large = named(m, Mux(swap, self.b, self.a), name="large")
        small = named(m, Mux(swap, self.a, self.b), name="small")
        large_field, small_field = large[_FRACTION:-1], small[_FRACTION:-1]
        large_normal, small_normal = large_field.any(), small_field.any()
        differ = self.a[-1] ^ self.b[-1]
        special = large_field.all()
        nan = large[:_FRACTION].any() | (small_field.all() & differ)
        # A subnormal number's exponent is that of field 1.
        apart = named(m, (large_field - small_field - (large_normal & ~small_normal))[:8], name="apart")
        sign1 = register(m, large[-1], name="sign1")
        differ1 = register(m, differ, name="differ1")
        special1 = register(m, special, name="special1")
        nan1 = register(m, nan, name="nan1")
        field1 = register(m, large_field, name="field1")
        large1 = register(m, Cat(large[:_FRACTION], large_normal), name="large1")
        small1 = register(m, Cat(small[:_FRACTION], small_normal), name="small1")
        apart1 = register(
            m, apart[:_SHIFT_BITS] | apart[_SHIFT_BITS:].any().replicate(_SHIFT_BITS), name="apart1"
        )

        # 2: align, add or subtract. The sum is never negative; its top bit has the large exponent plus one.
        aligned = shift_right_sticky(m, Cat(Const(0, _EXTRA), small1), apart1, name="align")
        addend = named(m, aligned ^ differ1.replicate(len(aligned)), name="addend")
        total = named(
            m,
            add_carry(Cat(Const(0, _EXTRA), large1, Const(0, 1)), Cat(addend, differ1), differ1),
            name="total",
        )
        sign2 = register(m, sign1, name="sign2")
        differ2 = register(m, differ1, name="differ2")
        special2 = register(m, special1, name="special2")
        nan2 = register(m, nan1, name="nan2")
        field2 = register(m, field1, name="field2")
        total2 = register(m, total, name="total2")

        # 3: shift the highest one to the top, but no further than exponent field 1 allows.
        # The exponent of the top bit is `lowest` + 1.
        lowest = named(m, field2 | ~field2.any(), name="lowest")
        width = len(total)
        stop = named(m, Const(1 << (width - 1), width) >> lowest, name="stop")
        shift = leading_zeros(m, total2 | stop, name="zeros")
        exponent = named(m, (lowest + 1 - shift)[: FP32.exponent_bits], name="exponent")
        overflow = (field2 == FP32.exponent_max - 1) & total2[-1]
        sign3 = register(m, sign2 & ~(differ2 & ~total2.any()), name="sign3")
        nan3 = register(m, special2 & nan2, name="nan3")
        infinite3 = register(m, special2 | overflow, name="infinite3")
        exponent3 = register(m, exponent, name="exponent3")
        significand3 = register(m, shift_left(total2, shift), name="significand3")

        # 4: round.
        magnitude = round_and_pack(m, exponent3, significand3, _FRACTION, name="rounded")
        result = Signal(FP32.bits)
        with m.If(nan3):
            m.d.comb += result.eq(FP32.nan)
        with m.Elif(infinite3):
            m.d.comb += result.eq(Cat(Const(FP32.infinity, FP32.bits - 1), sign3))
        with m.Else():
            m.d.comb += result.eq(Cat(magnitude, sign3))
        m.d.comb += self.o.eq(register(m, result, name="o4"))
        return m
