"""Operands of floating-point elements, made once at the array's edge (`mixpe.spec.formats.inside`)."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Value

from ...spec.formats.inside import NormalFormat, normal_format
from ...spec.formats.numbers import FloatFormat
from .normalize import named, normalize, powers_below


def normalized(m: Module, code: Value, form: FloatFormat) -> Value:
    """Returns the normal code (`normal_format`) of a code of `form`."""
    f = form.fraction_bits
    normal = normal_format(form)
    fraction, field, sign = code[:f], code[f:-1], code[-1]
    special = special_code(field, fraction, form)
    hidden = named(m, field.any(), name="hidden")
    significand, zeros = normalize(m, Cat(fraction, hidden), powers_below(f + 1), name="normal")
    exponent = (Cat(field[0] | ~hidden, field[1:]) + f - zeros)[: normal.exponent_bits]
    nan = fraction.any()
    return Cat(
        significand[: f - 1],
        Mux(special, nan, significand[f - 1]),
        (exponent & significand[-1].replicate(len(exponent))) | special.replicate(len(exponent)),
        sign,
    )


def special_code(field: Value, fraction: Value, form: FloatFormat) -> Value:
    """Returns whether exponent field and fraction are those of an infinity or a NaN of `form`."""
    if not form.nans:
        return Const(0, 1)
    return field.all() & (Const(1) if form.infinities else fraction.all())


def recoded(code: Value, form: NormalFormat) -> Value:
    """Returns a normal code with its significand in radix 4 (Booth 1951, MacSorley 1961), to be multiplied.

    In place of the fraction: digits -1, 0, 1 or 2, as numbers modulo 4, lowest first (of twice the
    significand if the fraction bits are odd in number), then a bit: whether the top digit is 2, else it is 1.
    With a special exponent that bit is high for NaN.
    """
    f = form.fraction_bits
    special = code[f:-1][-form.special_ones :].all()
    bits = Cat(Const(0, f % 2), code[:f])
    wires: list[Value] = []
    carry: Value = Const(0, 1)
    for low in range(0, len(bits), 2):
        first, second = bits[low], bits[low + 1]
        wires += [first ^ carry, second ^ (first & carry)]
        carry = second & (first | carry)
    return Cat(*wires, Mux(special, code[f - 1], carry), code[f:])


def lookup(m: Module, code: Value, words: Mapping[int, int], wires: int) -> Value:
    """Returns the word of `wires` wires that `words` has for the code: a table of all codes."""
    chosen = [named(m, code == own, name=f"is_{own}") for own in range(1 << len(code))]
    return Cat(
        Cat(chosen[own] for own, word in words.items() if word >> wire & 1).any() for wire in range(wires)
    )
