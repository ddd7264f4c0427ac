"""Floating-point numbers and weights inside the array: what their words mean, as data.

A normal code holds sign, exponent code and fraction, from the top bit down, as IEEE 754's do, but its
exponents' range is wide enough for subnormals, normalized, so that elements see none. Integer weights become
a power of two and digits. An accumulator's word has the exponents that its sums can have.
"""

from dataclasses import dataclass
from functools import cached_property

from .numbers import FP32, FloatFormat

POSITIONS = 4
"""Of the leading one in an accumulator's significand; of 1, 2 and 4, 4 gave the least area."""


@dataclass(frozen=True)
class NormalFormat:
    """Floating-point numbers without subnormals, with exponents `lowest` to `highest`.

    Exponent code 0 is zero, else the number is 1.fraction * 2**(code - offset). All ones: special, which the
    `special_ones` top bits tell already; the top fraction bit then says NaN, or infinity.
    """

    fraction_bits: int
    lowest: int
    highest: int

    @property
    def offset(self) -> int:
        return 1 - self.lowest

    @property
    def exponent_bits(self) -> int:
        return (self.highest + self.offset + 1).bit_length()

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def special_ones(self) -> int:
        """Of the exponent code, how many top bits are all one in none of a number."""
        return leading_ones(self.highest + self.offset, self.exponent_bits)


def leading_ones(code: int, bits: int) -> int:
    """How many top bits of `bits` are all one in no number up to `code`."""
    return next(ones for ones in range(1, bits + 1) if (1 << bits) - (1 << (bits - ones)) > code)


def normal_format(form: FloatFormat) -> NormalFormat:
    """The normal format that holds every code of `form`."""
    lowest = 1 - form.bias - form.fraction_bits
    return NormalFormat(form.fraction_bits, lowest, form.field_max - form.bias)


def normalized_code(code: int, form: FloatFormat) -> int:
    """What `normalized` makes of `code`, for software; the fraction of a NaN but for its top bit is any."""
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
    """Wires of a number as `recoded` gives them."""
    return form.bits + 1 + form.fraction_bits % 2


def recoded_code(code: int, form: NormalFormat) -> int:
    """What `recoded` makes of `code`, for software."""
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
    """Signed integers of `bits` bits as +-2**exponent * (1 + sum(digit_i * 2**-(2*i + 3))), digits -2 to 2.

    That is the non-adjacent form (Reitwiesner 1960): of two neighbouring binary digits one is zero at least.
    An INT4 weight has one digit, -2, -1, 0 or 2, an INT8 weight three.

    magnitudes: the absolute values, but 0, that occur; all that `bits` bits hold if empty.

    Wires, from the lowest: for each digit the index into its `choices`, exponent, sign. Zero is exponent 0
    with the first wire high, which no number has.
    """

    bits: int
    magnitudes: tuple[int, ...] = ()

    @property
    def exponent_bits(self) -> int:
        return (self.bits - 1).bit_length()

    @property
    def fraction_bits(self) -> int:
        """Of the significand 1 + sum(...)."""
        return 2 * len(self.choices) + 1 if self.choices else 0

    @cached_property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """The values of each digit, 0 first."""
        found = [_digits(value) for value in self.magnitudes or range(1, (1 << (self.bits - 1)) + 1)]
        count = max(len(digits) for _, digits in found)
        padded = [digits + [0] * (count - len(digits)) for _, digits in found]
        return tuple(
            tuple(sorted(set(column), key=lambda d: (d != 0, d))) for column in zip(*padded, strict=True)
        )

    @property
    def digit_bits(self) -> tuple[int, ...]:
        """Wires of each digit; without digits one wire tells zero from 1."""
        return tuple((len(choice) - 1).bit_length() for choice in self.choices) or (1,)

    @property
    def wires(self) -> int:
        return sum(self.digit_bits) + self.exponent_bits + 1

    def encode(self, value: int) -> int:
        """The wires of `value`, as a number."""
        if not value:
            return 1
        exponent, digits = _digits(abs(value))
        word = position = 0
        for digit, choices, bits in zip(digits, self.choices, self.digit_bits, strict=False):
            word |= choices.index(digit) << position
            position += bits
        return word | (exponent | (value < 0) << self.exponent_bits) << sum(self.digit_bits)


def _digits(value: int) -> tuple[int, list[int]]:
    """Exponent and digits of a positive integer."""
    exponent = (3 * value).bit_length() - 2  # of the leading digit of the non-adjacent form
    rest, digits, place = value - (1 << exponent), [], exponent - 3
    while rest:
        # Digit i has place value 2**place; below one, only even multiples of it are left.
        unit = 2.0**place
        digit = max(-2, min(2, round(rest / unit)))
        digits.append(digit)
        rest -= int(digit * unit)
        place -= 2
    return exponent, digits


@dataclass(frozen=True)
class AccumulatorFormat:
    """Words of an accumulator: sign, exponent code, significand; numbers are those of `out` that sums can be.

    Where products are multiples of the least number of `out`, the number is
    significand * 2**(POSITIONS * code - offset); the word is, from the lowest bit, significand, code, sign.
    The significand has `out`'s fraction bits and `POSITIONS` integer bits, of which one at least is high: in
    radix 2**POSITIONS shifts are coarse. Zero has code and significand 0 and either sign. For infinity and
    NaN the `special_ones` top bits of the code are all one, the significand's top bit says NaN, and others
    are any.

    Else (`subnormal`) the word is that of `out`, but zero has either sign, and of a NaN's fraction only the
    top bit counts.

    highest: exponent of the largest number. overflow: sums may be beyond.
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
        """Of the largest number, in the products' terms."""
        return self.highest + self.offset

    @property
    def largest_code(self) -> int:
        """Of a number."""
        return self.code_max // (1 if self.subnormal else POSITIONS)

    @property
    def significand_bits(self) -> int:
        """Of the word."""
        return self.fraction_bits + (0 if self.subnormal else POSITIONS)

    @property
    def exponent_bits(self) -> int:
        return (self.largest_code + 1).bit_length()

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.significand_bits

    @property
    def special_ones(self) -> int:
        return leading_ones(self.largest_code, self.exponent_bits)


def accumulator_format(
    offset: int, lowest: int, highest: int, count: int, out: FloatFormat = FP32
) -> AccumulatorFormat:
    """Of sums of `count` products that are multiples of 2**lowest, of magnitude less than 2**(highest + 1).

    offset: of the products' exponent codes.
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
    """What `to_float` makes of `word`, for software."""
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
    """The word that stands for the number `code` of `form.out`; of a zero, the positive one."""
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
