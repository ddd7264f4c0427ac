"""Number formats: what a code means. Integers and IEEE 754 binary formats, as data."""

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

    def __str__(self) -> str:
        return f"{'' if self.signed else 'U'}INT{self.bits}"


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 binary interchange format (or BF16, which follows the same rules).

    Sign, `exponent_bits`, `fraction_bits`, from the most significant bit down; subnormals,
    infinities, and one canonical quiet NaN: sign 0, exponent all ones, top fraction bit set.
    """

    name: str
    exponent_bits: int
    fraction_bits: int

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
        """The all-ones exponent field of infinities and NaN."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        """The code of +infinity."""
        return self.exponent_max << self.fraction_bits

    @property
    def nan(self) -> int:
        """The code of the canonical quiet NaN."""
        return self.infinity | (1 << (self.fraction_bits - 1))

    def __str__(self) -> str:
        return self.name.upper()


FP16 = FloatFormat("fp16", exponent_bits=5, fraction_bits=10)
BF16 = FloatFormat("bf16", exponent_bits=8, fraction_bits=7)
FP32 = FloatFormat("fp32", exponent_bits=8, fraction_bits=23)

FLOAT_FORMATS = {f.name: f for f in (FP32, FP16, BF16)}


def signed_bits(low: int, high: int) -> int:
    """Width of the narrowest two's-complement integer that holds every value in [low, high]."""
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)
