"""Radix-4 recoding of weights (Booth 1951, MacSorley 1961), once at the array's edge.

A weight becomes digits of place value 4**i. All but the top one are -1, 0, 1 or 2: three wires, at most one
of them high, choose the inverse of the activation, itself or its double, which costs no exclusive or. The top
digit is -2 to 2 (wires: single, double, negative), for an odd number of bits -1 to 1 (single, minus).
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Value

from ...spec.array import Config
from ...spec.schemes.integer import RECODED


@dataclass(frozen=True)
class Digit:
    """Holds the wires of a digit.

    single: chooses the activation once.
    double: chooses it twice; None in a digit that is never 2.
    negative: stands for -1 alone if `one_hot`; else it inverts what the others choose.
    one_hot: at most one of the wires is high.
    """

    single: Value
    double: Value | None
    negative: Value
    one_hot: bool


def recode(weight: Value) -> Value:
    """Returns the wires, `Config.weight_wires` of them, of a two's-complement `weight`. Zero is all low."""
    wires: list[Value] = []
    carry: Value = Const(0, 1)
    for low in range(0, len(weight), 2):
        first = weight[low]
        if low + 1 == len(weight):
            wires += [carry & ~first, first & ~carry]
        elif low + 2 == len(weight):
            second = weight[low + 1]
            double = (~second & first & carry) | (second & ~first & ~carry)
            wires += [first ^ carry, double, second & ~(first & carry)]
        else:
            second = weight[low + 1]
            once, twice = first ^ carry, second ^ (first & carry)
            wires += [once & ~twice, twice & ~once, once & twice]
            carry = second & (first | carry)
    return Cat(wires)


def digits(wires: Value) -> list[Digit]:
    """Returns the digits on the wires of one weight, the lowest first."""
    parts = [wires[start : start + 3] for start in range(0, len(wires), 3)]
    return [
        Digit(part[0], part[1], part[2], one_hot=part is not parts[-1])
        if len(part) == 3
        else Digit(part[0], None, part[1], one_hot=True)
        for part in parts
    ]


def sign_and_nonzero(config: Config, wires: Value) -> tuple[Value, Value]:
    """Returns whether the weight on an element's wires is negative, and whether it is not zero."""
    if config.datapath not in RECODED:
        return wires[-1], wires.any()
    negative: Value = Const(0, 1)
    nonzero: Value = Const(0, 1)
    for digit in digits(wires):  # the highest that is not zero has the sign
        chosen = digit.single if digit.double is None else digit.single | digit.double
        own = chosen | digit.negative if digit.one_hot else chosen
        negative, nonzero = Mux(own, digit.negative, negative), nonzero | own
    return negative, nonzero


def recoded(code: int, bits: int) -> int:
    """Returns what `recode` makes of the two's-complement `code`, as a number: for software."""
    value = code - ((code >> (bits - 1)) << bits)
    wires = position = 0
    for low in range(0, bits, 2):
        top = low + 2 >= bits
        digit = value if top else (value + 1) % 4 - 1
        value = (value - digit) // 4
        if low + 1 == bits:
            chosen = [digit == 1, digit == -1]
        elif top:
            chosen = [abs(digit) == 1, abs(digit) == 2, digit < 0]
        else:
            chosen = [digit == 1, digit == 2, digit == -1]
        for wire in chosen:
            wires |= wire << position
            position += 1
    return wires
