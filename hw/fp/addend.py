"""The parts of floating-point sums: addends and products, taken apart."""

from dataclasses import dataclass

from amaranth.hdl import Value


@dataclass(frozen=True)
class Addend:
    """Holds an exact number that is to be added.

    sign: high for a negative number.
    code: the exponent, as a code whose offset the format of the sum gives.
    significand: the digits, whose place `code` gives; it does not count with `zero` or `special`.
    zero: the number is zero.
    special: it is infinite or NaN.
    nan: it is NaN; then `special` is high, too.
    """

    sign: Value
    code: Value
    significand: Value
    zero: Value
    special: Value
    nan: Value


@dataclass(frozen=True)
class Product(Addend):
    """Holds the addend significand * 2**(code - offset), with 0.5 < significand < 4.

    significand: two integer bits at the top, then fraction bits.
    """

    offset: int

    @property
    def fraction_bits(self) -> int:
        """The fraction bits of the significand."""
        return len(self.significand) - 2
