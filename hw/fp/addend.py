"""What floating-point sums are made of."""

from dataclasses import dataclass

from amaranth.hdl import Value


@dataclass(frozen=True)
class Addend:
    """An exact number to be added: sign, exponent code, and a significand whose place the code gives.

    The significand is not looked at with `zero` or `special` (infinity, or with `nan` NaN).
    """

    sign: Value
    code: Value
    significand: Value
    zero: Value
    special: Value
    nan: Value


@dataclass(frozen=True)
class Product(Addend):
    """An addend significand * 2**(code - offset), 0.5 < significand < 4.

    significand: two integer bits, then fraction bits.
    """

    offset: int

    @property
    def fraction_bits(self) -> int:
        return len(self.significand) - 2
