"""Weight formats: what a weight's code stands for, and the integer that the array multiplies in its place.

The array multiplies two's-complement integers. A code becomes one at the array's edge (the door), once for a
whole column. A format whose codes are small floating-point numbers is exact all the same: its numbers are
integers times one power of two, which the dequantizer applies with the scale.
"""

from dataclasses import dataclass
from functools import cached_property

from .numbers import FP4_E2M1, FloatFormat, IntFormat, signed_bits


@dataclass(frozen=True)
class WeightFormat:
    """A format of weight codes.

    Parameters
    ----------
    code: what a code is outside the array: an integer, or a floating-point number without infinity and NaN.

    A code's number is `plain(code) * 2**exponent`, and the array multiplies `plain(code) - offset`.
    """

    code: IntFormat | FloatFormat

    @property
    def name(self) -> str:
        """The value of `Config.weight_format`."""
        return "int" if self.integers else self.code.name  # type: ignore[union-attr]

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.code.bits

    @property
    def integers(self) -> bool:
        """Whether codes are integers, which may have zero points."""
        return isinstance(self.code, IntFormat)

    @property
    def exponent(self) -> int:
        """The power of two by which plain integers are multiplied to give numbers: 0 for integers."""
        return 0 if self.integers else 1 - self.code.bias - self.code.fraction_bits  # type: ignore[union-attr]

    @property
    def offset(self) -> int:
        """What a plain integer loses in the array, which multiplies signed integers: half the range of
        unsigned codes. The row sum times the offset brings it back."""
        return 0 if self.code.twos_complement or not self.integers else 1 << (self.bits - 1)

    @property
    def zero_code(self) -> int:
        """The code, as a plain binary number, of which the array makes 0."""
        return self.offset

    def plain(self, code: int) -> int:
        """Returns the integer that the code, a plain binary number of `bits` bits, stands for."""
        if not self.integers:
            return int(self.code.decode(code) * 2.0**-self.exponent)  # type: ignore[union-attr]
        negative = self.code.twos_complement and code >> (self.bits - 1)
        return code - (negative << self.bits)

    def inside(self, code: int) -> int:
        """Returns the integer that the array multiplies in place of the code."""
        return self.plain(code) - self.offset

    @cached_property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest integer in the array."""
        values = [self.inside(code) for code in range(1 << self.bits)]
        return min(values), max(values)

    @property
    def integer(self) -> IntFormat:
        """The two's-complement format of the integers in the array."""
        return IntFormat(signed_bits(*self.limits))

    @cached_property
    def magnitudes(self) -> tuple[int, ...]:
        """The absolute values, but 0, of the integers in the array, in ascending order."""
        return tuple(sorted({abs(self.inside(code)) for code in range(1 << self.bits)} - {0}))

    def __str__(self) -> str:
        return str(self.code)


FLOAT_WEIGHTS: tuple[FloatFormat, ...] = (FP4_E2M1,)
"""The floating-point formats of weights."""

WEIGHT_FORMATS: dict[str, WeightFormat] = {form.name: WeightFormat(form) for form in FLOAT_WEIGHTS}
"""The weight formats that are known by name; integers are made of their width."""
