"""Number formats: what a code means. Integers and binary floating-point formats, as data."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class IntFormat:
    """A two's-complement (`signed`) or plain binary integer of `bits` bits."""

    bits: int
    signed: bool = True

    @property
    def min(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value."""
        return max(-self.min, self.max)

    @property
    def twos_complement(self) -> bool:
        """Whether the top bit of a code has negative place value."""
        return self.signed

    @property
    def description(self) -> str:
        """What a code is, in words."""
        return f"{'signed' if self.signed else 'unsigned'} {self.bits}-bit integer"

    def __str__(self) -> str:
        return f"{'' if self.signed else 'U'}INT{self.bits}"


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format after IEEE 754: sign, exponent, fraction, from the top bit down.

    Exponent field 0 holds zero and subnormals. What the all-ones exponent field holds is told by two flags:

    infinities: infinity and NaN; the canonical NaN has its top fraction bit set and no other.
    nans, without infinities: numbers, but for the all-ones fraction, which is NaN (OCP 8-bit Floating Point
        Specification 1.0, E4M3).
    neither: numbers alone (OCP Microscaling Formats 1.0, FP6 and FP4).

    The canonical NaN is positive.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    infinities: bool = True
    nans: bool = True

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def significand_bits(self) -> int:
        """Fraction and hidden bit."""
        return self.fraction_bits + 1

    @property
    def exponent_max(self) -> int:
        """The all-ones exponent field."""
        return (1 << self.exponent_bits) - 1

    @property
    def field_max(self) -> int:
        """The largest exponent field of a number."""
        return self.exponent_max - self.infinities

    @property
    def infinity(self) -> int:
        """The code of +infinity, of a format that has one."""
        return self.exponent_max << self.fraction_bits

    @property
    def nan(self) -> int:
        """The code of the canonical quiet NaN, of a format that has one."""
        fraction = 1 << (self.fraction_bits - 1) if self.infinities else (1 << self.fraction_bits) - 1
        return self.infinity | fraction

    @property
    def largest(self) -> int:
        """The code of the largest number."""
        if self.infinities:
            return self.infinity - 1
        return (1 << (self.bits - 1)) - 1 - self.nans

    @property
    def specials(self) -> tuple[int, ...]:
        """The codes of the canonical NaN and of +infinity, as far as there are such."""
        return (self.nan,) * self.nans + (self.infinity,) * self.infinities

    @property
    def twos_complement(self) -> bool:
        """Whether the top bit of a code has negative place value: never, it is a sign."""
        return False

    @property
    def description(self) -> str:
        """What a code is, in words."""
        return str(self)

    def decode(self, code: int) -> float:
        """The value of a code, exactly."""
        field = (code >> self.fraction_bits) & self.exponent_max
        fraction = code & ((1 << self.fraction_bits) - 1)
        if self.infinities and field == self.exponent_max:
            value = math.nan if fraction else math.inf
        elif self.nans and code & ~(1 << (self.bits - 1)) == self.nan:
            value = math.nan
        else:
            significand = fraction + ((field > 0) << self.fraction_bits)
            value = math.ldexp(significand, max(1, field) - self.bias - self.fraction_bits)
        return math.copysign(value, -1.0 if code >> (self.bits - 1) else 1.0)

    def encode(self, value: float) -> int:
        """The code of the nearest number, of two equally near the even one (IEEE 754-2008, clause 4.3.1).

        What rounds beyond the largest number becomes infinity, in a format without NaN, and in one without
        either the largest number (as in ml_dtypes). Every NaN becomes the canonical one.

        Raises `ValueError` for a NaN that the format has no code for.
        """
        if math.isnan(value):
            if not self.nans:
                raise ValueError(f"{self} has no NaN")
            return self.nan
        magnitude = abs(value)
        code = self.largest + self.nans  # infinity, or where there is none NaN
        if math.isfinite(value):
            field = max(1, math.frexp(magnitude)[1] - 1 + self.bias) if magnitude else 1
            # Python rounds to even as well. A subnormal has no hidden bit, a carry reaches the field.
            significand = round(math.ldexp(magnitude, self.bias + self.fraction_bits - field))
            code = min(code, ((field - 1) << self.fraction_bits) + significand)
        if self.nans and code == self.nan:
            return self.nan
        return (math.copysign(1.0, value) < 0) << (self.bits - 1) | code

    def __str__(self) -> str:
        return self.name.upper()


FP16 = FloatFormat("fp16", exponent_bits=5, fraction_bits=10)
BF16 = FloatFormat("bf16", exponent_bits=8, fraction_bits=7)
FP32 = FloatFormat("fp32", exponent_bits=8, fraction_bits=23)
FP8_E4M3 = FloatFormat("fp8_e4m3", exponent_bits=4, fraction_bits=3, infinities=False)
FP8_E5M2 = FloatFormat("fp8_e5m2", exponent_bits=5, fraction_bits=2)
FP4_E2M1 = FloatFormat("fp4_e2m1", exponent_bits=2, fraction_bits=1, infinities=False, nans=False)
FP6_E3M2 = FloatFormat("fp6_e3m2", exponent_bits=3, fraction_bits=2, infinities=False, nans=False)

FLOAT_FORMATS = {f.name: f for f in (FP32, FP16, BF16, FP8_E4M3, FP8_E5M2, FP6_E3M2, FP4_E2M1)}
OUT_FORMATS = {f.name: f for f in (FP32, FP16, BF16)}
"""The formats of results, and of factors in the dequantizer."""
ACT_FORMATS = {f.name: f for f in (FP16, BF16, FP8_E4M3, FP8_E5M2, FP6_E3M2)}
"""The formats of floating-point activations."""


def signed_bits(low: int, high: int) -> int:
    """Width of the narrowest two's-complement integer that holds every value in [low, high]."""
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)
