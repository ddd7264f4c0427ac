"""What floating-point sums are made of."""

from dataclasses import dataclass

from amaranth.hdl import Value


@dataclass(frozen=True)
class Product:
    """An exact addend: significand * 2**(code - offset), 0.5 < significand < 4.

    significand: two integer bits, then fraction bits; not looked at with `zero` or `special` (infinity, or
    with `nan` NaN).
    """

    sign: Value
    code: Value
    significand: Value
    zero: Value
    special: Value
    nan: Value
    offset: int

    @property
    def fraction_bits(self) -> int:
        return len(self.significand) - 2
