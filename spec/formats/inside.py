"""Floating-point numbers and weights inside the array: what their words mean, as data.

Three formats stand here. Operands are made once, at the array's edge; elements only see these:

- `NormalFormat`: activations. A normal code has no subnormal numbers, so that elements need not normalize.
For
  example FP16's least number, 2**-24, has field 0 and fraction 0000000001; its normal code has an exponent of
  its own and the fraction 0000000000.
- `ScaledDigits`: integer weights as a power of two times a short sum of digits.
- `AccumulatorFormat`: sums, with the exponents that they can have and no others.
"""

from dataclasses import dataclass
from functools import cached_property

from .numbers import FP32, FloatFormat

POSITIONS = 4
"""The places in which the leading one of an accumulator's significand may stand. Of 1, 2 and 4, 4 gave the
least area."""


@dataclass(frozen=True)
class NormalFormat:
    """Describes floating-point numbers without subnormals, with exponents `lowest` to `highest`.

    A code holds sign, exponent code and fraction, from the top bit down. Exponent code 0 is zero. An exponent
    code of all ones is infinity, or with the top fraction bit set NaN. Any other number is
    1.fraction * 2**(code - offset).

    An example: FP16 normalized has exponents -24 to 15, so the offset is 25. 1.5 = 1.1 * 2**0 has the
    exponent code 25 = 011001 and the fraction 1000000000. The largest numbers have exponent code 40 = 101000.
    """

    fraction_bits: int
    lowest: int
    highest: int

    @property
    def offset(self) -> int:
        """What is added to an exponent to get its code."""
        return 1 - self.lowest

    @property
    def exponent_bits(self) -> int:
        return (self.highest + self.offset + 1).bit_length()

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def special_ones(self) -> int:
        """The top bits of the exponent code that need to be looked at to tell infinity and NaN from numbers.

        They are all one in a special code and in no number. In FP16 normalized it is two bits: no code up to
        40 = 101000 begins with 11.
        """
        return leading_ones(self.highest + self.offset, self.exponent_bits)


def leading_ones(code: int, bits: int) -> int:
    """Returns the least number of top bits, of `bits`, that are not all one in any integer from 0 to `code`.

    For example, 6-bit integers up to 40 may begin with 1 (100000 is 32) but not with 11 (110000 is 48), so it
    is 2. `code` must be less than 2**bits - 1.
    """
    return next(ones for ones in range(1, bits + 1) if (1 << bits) - (1 << (bits - ones)) > code)


def normal_format(form: FloatFormat) -> NormalFormat:
    """Returns the normal format that holds every code of `form`."""
    lowest = 1 - form.bias - form.fraction_bits
    return NormalFormat(form.fraction_bits, lowest, form.field_max - form.bias)


def normalized_code(code: int, form: FloatFormat) -> int:
    """Returns what `mixpe.hw.fp.normal.normalized` makes of `code`, for software.

    In the fraction of a NaN only the top bit counts.
    """
    f = form.fraction_bits
    normal = normal_format(form)
    fraction, field, sign = code & ((1 << f) - 1), (code >> f) & form.exponent_max, code >> (form.bits - 1)
    exponent = max(field, 1) + f
    if field == form.exponent_max and (form.infinities or fraction == (1 << f) - 1):
        fraction = fraction & ((1 << (f - 1)) - 1) | (fraction > 0) << (f - 1)
        exponent = (1 << normal.exponent_bits) - 1
    elif not field and not fraction:
        exponent = 0
    elif not field:
        zeros = f + 1 - fraction.bit_length()
        fraction, exponent = (fraction << zeros) & ((1 << f) - 1), exponent - zeros
    return (sign << normal.exponent_bits | exponent) << f | fraction


def recoded_bits(form: NormalFormat) -> int:
    """Returns how many wires a number has as `mixpe.hw.fp.normal.recoded` gives it."""
    return form.bits + 1 + form.fraction_bits % 2


def recoded_code(code: int, form: NormalFormat) -> int:
    """Returns what `mixpe.hw.fp.normal.recoded` makes of `code`, for software."""
    f = form.fraction_bits
    fraction, upper = (code & ((1 << f) - 1)) << f % 2, code >> f
    digits = carry = 0
    for place in range(0, f, 2):
        value = (fraction >> place & 3) + carry
        digits |= value % 4 << place
        carry = value > 2
    if upper >> (form.exponent_bits - form.special_ones) & ((1 << form.special_ones) - 1) == (
        (1 << form.special_ones) - 1
    ):
        carry = code >> (f - 1) & 1
    return (upper << 1 | carry) << (f + f % 2) | digits


@dataclass(frozen=True)
class ScaledDigits:
    """Describes signed integers of `bits` bits as a power of two times a significand of few digits.

    The value is +-2**exponent * (1 + sum(digit_i * 2**-(2*i + 3))), with digits of -2 to 2. A multiplier adds
    the activation once for the 1, and once more, shifted, for each digit. An INT4 weight has one digit, which
    is -2, -1, 0 or 2; an INT8 weight has three.

    The exponent is that of the leading one in non-adjacent form (Reitwiesner 1960), which may lie above the
    number: 2**exponent is within 3/4 and 3/2 of it. Each digit then is the multiple of its place value that
    comes nearest to what is left; of two equally near it is the even one.

    An example: for 11 the exponent is 4, as 11 = 16 - 5. Digit 0 has the place value 16/8 = 2: -5 lies
    between -2 and -3 times 2, of which a digit can be -2. That leaves -1. Digit 1 has the place value 2/4 =
    1/2, and is -2. So 11 = 2**4 * (1 - 2/8 - 2/32).

    magnitudes: the absolute values, but 0, that occur; all that `bits` bits hold if empty.

    Wires, from the lowest: for each digit the index into its `choices`, then the exponent, then the sign.
    Zero is exponent 0 with the first wire high, which no number has.
    """

    bits: int
    magnitudes: tuple[int, ...] = ()

    @property
    def exponent_bits(self) -> int:
        return (self.bits - 1).bit_length()

    @property
    def fraction_bits(self) -> int:
        """The fraction bits of the significand 1 + sum(...)."""
        return 2 * len(self.choices) + 1 if self.choices else 0

    @cached_property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """The values that each digit takes, 0 first; the digit of the highest place value stands first."""
        found = [_digits(value) for value in self.magnitudes or range(1, (1 << (self.bits - 1)) + 1)]
        count = max(len(digits) for _, digits in found)
        padded = [digits + [0] * (count - len(digits)) for _, digits in found]
        return tuple(
            tuple(sorted(set(column), key=lambda d: (d != 0, d))) for column in zip(*padded, strict=True)
        )

    @property
    def digit_bits(self) -> tuple[int, ...]:
        """The wires of each digit; without digits one wire tells zero from 1."""
        return tuple((len(choice) - 1).bit_length() for choice in self.choices) or (1,)

    @property
    def wires(self) -> int:
        return sum(self.digit_bits) + self.exponent_bits + 1

    def encode(self, value: int) -> int:
        """Returns the wires of `value`, as a number."""
        if not value:
            return 1
        exponent, digits = _digits(abs(value))
        word = position = 0
        for digit, choices, bits in zip(digits, self.choices, self.digit_bits, strict=False):
            word |= choices.index(digit) << position
            position += bits
        return word | (exponent | (value < 0) << self.exponent_bits) << sum(self.digit_bits)


def _digits(value: int) -> tuple[int, list[int]]:
    """Returns exponent and digits (`ScaledDigits`) of a positive integer; the last digit is not 0."""
    exponent = (3 * value).bit_length() - 2  # value lies within 2/3 and 4/3 of 2**exponent
    # What is left, and the next digit's place value, both times 8: a place value may be 1/2.
    rest, unit = 8 * (value - (1 << exponent)), 1 << exponent
    digits = []
    while rest:
        quotient, remainder = divmod(rest, unit)
        nearest = quotient + (2 * remainder + quotient % 2 > unit)  # of two equally near, the even one
        digits.append(max(-2, min(2, nearest)))
        rest -= digits[-1] * unit
        unit >>= 2
    return exponent, digits


@dataclass(frozen=True)
class AccumulatorFormat:
    """Describes the words of an accumulator, whose numbers are those of `out` that sums can be.

    Where products are multiples of the least number of `out`, the number is significand * 2**(POSITIONS *
    code - offset), and the word is, from the lowest bit, significand, code, sign. The significand has `out`'s
    fraction bits and `POSITIONS` integer bits, of which one at least is high: in radix 2**POSITIONS shifts
    are coarse. Zero has code and significand 0 and either sign. For infinity and NaN the `special_ones` top
    bits of the code are all one, the significand's top bit says NaN, and other bits do not count.
    `mixpe.hw.fp.accumulate` has an example.

    Else (`subnormal`) the word is that of `out`, but zero has either sign, and of a NaN's fraction only the
    top bit counts.

    out: the floating-point format of the sums.
    offset: what is added to an exponent to get its code, for products and sums alike.
    highest: the exponent of the largest number.
    subnormal: sums may be subnormal in `out`.
    overflow: sums may be beyond the largest number.
    """

    out: FloatFormat
    offset: int
    highest: int
    subnormal: bool
    overflow: bool

    @property
    def fraction_bits(self) -> int:
        return self.out.fraction_bits

    @property
    def code_max(self) -> int:
        """The largest number's exponent code as that of a product, which is not coarse."""
        return self.highest + self.offset

    @property
    def largest_code(self) -> int:
        """The largest exponent code of a number."""
        return self.code_max // (1 if self.subnormal else POSITIONS)

    @property
    def significand_bits(self) -> int:
        """The width of the significand in the word."""
        return self.fraction_bits + (0 if self.subnormal else POSITIONS)

    @property
    def exponent_bits(self) -> int:
        return (self.largest_code + 1).bit_length()

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.significand_bits

    @property
    def special_ones(self) -> int:
        """The top bits of the exponent code that tell infinity and NaN from numbers."""
        return leading_ones(self.largest_code, self.exponent_bits)


def accumulator_format(
    offset: int, lowest: int, highest: int, count: int, out: FloatFormat = FP32
) -> AccumulatorFormat:
    """Returns the format for sums of `count` products.

    Products are multiples of 2**lowest, of magnitude less than 2**(highest + 1), and their exponent codes
    have the offset `offset`. Sums are rounded to `out`.
    """
    top = highest + 1 + (count - 1).bit_length()
    limit = out.field_max - out.bias
    subnormal = lowest < 1 - out.bias - out.fraction_bits
    return AccumulatorFormat(
        out,
        out.bias if subnormal else offset,
        limit if subnormal else min(top, limit),
        subnormal,
        overflow=top > limit,
    )


def float_code(word: int, form: AccumulatorFormat) -> int:
    """Returns what `mixpe.hw.fp.accumulate.to_float` makes of `word`, for software."""
    out, f, size = form.out, form.fraction_bits, form.significand_bits
    significand, code = word & ((1 << size) - 1), (word >> size) & ((1 << form.exponent_bits) - 1)
    sign = word >> (form.bits - 1) << (out.bits - 1)
    if code >> (form.exponent_bits - form.special_ones) == (1 << form.special_ones) - 1:
        return out.nan if significand >> (size - 1) else sign | out.infinity
    if form.subnormal:
        return word if word & ((1 << (form.bits - 1)) - 1) else 0
    if not significand:
        return 0
    position = significand.bit_length() - 1 - f
    field = POSITIONS * code + position - form.offset + out.bias
    number = significand >> position
    if field < 1:
        return sign | number >> (1 - field)
    return sign | field << f | number & ((1 << f) - 1)


def word_code(code: int, form: AccumulatorFormat) -> int:
    """Returns the word that stands for the number `code` of `form.out`; for a zero, the positive one."""
    if form.subnormal:
        return code
    out, f = form.out, form.fraction_bits
    field, fraction = (code >> f) & out.exponent_max, code & ((1 << f) - 1)
    if not field and not fraction:
        return 0
    significand = fraction | (field > 0) << f
    # The place of the significand's lowest bit, in the products' terms and above its fraction bits.
    place = max(field, 1) - out.bias + form.offset
    lead = place + significand.bit_length() - 1 - f
    exponent = lead // POSITIONS
    shift = place - POSITIONS * exponent
    significand = significand << shift if shift >= 0 else significand >> -shift
    sign = code >> (out.bits - 1)
    return (sign << form.exponent_bits | exponent) << form.significand_bits | significand
