"""Conversions: integer to FP32, FP32 to the output formats."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from ...spec.errors import UserError
from ...spec.formats.numbers import FP32, OUT_FORMATS, FloatFormat
from ...spec.stages import CAST_STAGES, INT_TO_FLOAT_STAGES
from ..ports import Component
from .normalize import named, normalize, powers_below, register, round_and_pack, shift_right_sticky

INTEGER_BITS = 64
"""The widest integer that becomes FP32."""


class IntToFloat(Component):
    """Converts a two's-complement integer to FP32, rounded to nearest, ties to even; 0 gives +0.

    This is IEEE 754-2008 clause 5.4.1 (convertFromInt). One result per cycle, no flow control. Integers of up
    to 25 bits are exact, and have no rounding logic.

    `width`: bits of the integer, 2 to `INTEGER_BITS`. Raises `UserError` for any other.

    Ports
    -----
    i: in, signed, `width` bits, cycle t: the integer.
    o: out, 32 bits, cycle t + `INT_TO_FLOAT_STAGES`: its FP32 code.
    """

    latency = INT_TO_FLOAT_STAGES

    def __init__(self, width: int):
        if not 2 <= width <= INTEGER_BITS:
            raise UserError(f"width of the integer must be 2 to {INTEGER_BITS}, not {width!r}")
        self.width = width
        super().__init__({"i": In(signed(width)), "o": Out(FP32.bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        width = self.width

        # 1: magnitude, and the coarse half of the normalization. The lowest value's magnitude fits too.
        sign = self.i[-1]
        magnitude = named(m, (self.i.as_unsigned() ^ sign.replicate(width)) + sign, name="magnitude")[:width]
        shifts = powers_below(width)
        half = len(shifts) // 2
        coarse, high_zeros = normalize(m, magnitude, shifts[:half], name="coarse")
        sign1 = register(m, sign, name="sign1")
        value1 = register(m, coarse, name="value1")
        high_zeros1 = register(m, high_zeros, name="high_zeros1")

        # 2: the fine half, rounding.
        fine, low_zeros = normalize(m, value1, shifts[half:], name="fine")
        top = FP32.bias + width - 1  # the exponent of the top bit
        exponent = named(m, (top - Cat(low_zeros, high_zeros1))[: FP32.exponent_bits], name="exponent")
        # Of 25 bits, a normalized magnitude has none below the significand: it is zero then.
        exact = width <= FP32.significand_bits + 1
        below = FP32.significand_bits + (0 if exact else 2) - width
        significand = fine[-below:] if exact and below < 0 else Cat(Const(0, max(0, below)), fine)
        if exact:
            field = exponent & significand[-1].replicate(FP32.exponent_bits)
            bits = Cat(significand[:-1], field)
        else:
            bits = round_and_pack(m, exponent, significand, FP32.fraction_bits, name="rounded")
        m.d.comb += self.o.eq(register(m, Cat(bits, sign1), name="o2"))
        return m


class FloatCast(Component):
    """Converts FP32 to the format `to` (FP32, FP16 or BF16), rounded to nearest, ties to even.

    This is IEEE 754-2008 clause 5.4.2 (convertFormat): subnormal results, overflow to infinity (clause 7.4),
    every NaN becomes the canonical one; to FP32 that is all it does. One result per cycle, no flow control.

    Raises `UserError` if `to` is no such format.

    Ports
    -----
    i: in, 32 bits, cycle t: an FP32 code.
    o: out, `to.bits`, cycle t + `CAST_STAGES`: its code in `to`.
    """

    latency = CAST_STAGES

    def __init__(self, to: FloatFormat):
        if to not in OUT_FORMATS.values():
            raise UserError(f"format of a cast must be one of {', '.join(OUT_FORMATS)}, not {to!r}")
        self.to = to
        super().__init__({"i": In(FP32.bits), "o": Out(to.bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        fraction, exponent, sign = (
            self.i[: FP32.fraction_bits],
            self.i[FP32.fraction_bits : -1],
            self.i[-1],
        )
        special = exponent.all()
        if self.to.exponent_bits == FP32.exponent_bits:
            magnitude, infinite = self._same_range(m), special
        else:
            magnitude, infinite = self._narrow(m, exponent, fraction)
        result = Signal(self.to.bits)
        with m.If(special & fraction.any()):
            m.d.comb += result.eq(self.to.nan)
        with m.Elif(infinite):
            m.d.comb += result.eq(Cat(Const(self.to.infinity, self.to.bits - 1), sign))
        with m.Else():
            m.d.comb += result.eq(Cat(magnitude, sign))
        m.d.comb += self.o.eq(register(m, result, name="o1"))
        return m

    def _same_range(self, m: Module) -> Value:
        """Returns exponent and fraction in a format of FP32's exponents, up to infinity.

        The fields are one number that is rounded, subnormal or not.
        """
        dropped = FP32.bits - self.to.bits
        magnitude = self.i[dropped:-1]
        if not dropped:
            return magnitude
        up = named(m, self.i[dropped - 1] & (self.i[: dropped - 1].any() | self.i[dropped]), name="up")
        return (magnitude + up)[: len(magnitude)]

    def _narrow(self, m: Module, exponent: Value, fraction: Value) -> tuple[Value, Value]:
        """Returns exponent and fraction in a format of fewer exponents, and whether they are infinity's.

        Numbers below the range are shifted into subnormals.
        """
        to = self.to
        rebias = FP32.bias - to.bias
        lowest = rebias + 1  # FP32 exponent field of the smallest normal number of `to`
        tiny = named(m, exponent < lowest, name="tiny")
        # Past `significand_bits + 1` a shift leaves nothing but a sticky bit below the guard bit.
        far = to.significand_bits + 1
        bits = far.bit_length()
        below = named(m, (lowest - exponent)[: FP32.exponent_bits], name="below")
        shift = Mux(below[bits:].any(), (1 << bits) - 1, below[:bits]) & tiny.replicate(bits)
        extra = FP32.fraction_bits - to.fraction_bits - 2  # bits below guard and sticky
        short = Cat(fraction[: extra + 1].any(), fraction[extra + 1 :], Const(1, 1))
        significand = shift_right_sticky(m, short, shift, name="significand")
        field = (exponent - rebias)[: to.exponent_bits]
        return (
            round_and_pack(m, field, significand, to.fraction_bits, name="rounded"),
            exponent >= rebias + to.exponent_max,
        )
