"""Infinities and NaN of aligned activations.

An aligned integer cannot be infinite. In a group with infinities they become 1 and -1, all else becomes 0,
and the row's `Config.has_infinities` wire is high. An element then notes in the lowest two bits of its word
whether a product is +infinity and whether one is -infinity; infinity times zero counts as both, which
together stand for NaN. NaN in a group makes NaN of all its sums, by the row's group code alone.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value

from ...spec.array import Config
from ...spec.formats.numbers import FP32
from ..arith.recode import sign_and_nonzero
from .datapath import Pairs


def note_infinities(config: Config, word: Value, step: Value, special: Value, pairs: Pairs) -> Value:
    """The accumulator's next word: `step`, but in a group with infinities (`special`) the lowest two bits
    are `word`'s and what these products add."""
    signs: list[list[Value]] = [[], []]
    for weight, act in pairs:
        negative, nonzero = sign_and_nonzero(config, weight)
        infinite, minus = act[0], act[-1] ^ negative
        signs[0].append(infinite & ~(minus & nonzero))
        signs[1].append(infinite & (minus | ~nonzero))
    noted = (Cat(_any(sign) for sign in signs) | word[:2])[:2]
    return Cat(Mux(special, noted, step[:2]), step[2:])


def _any(values: Sequence[Value]) -> Value:
    return Cat(values).any()


def special_sum(flags: Value, total: Value, zero: Value | int | None) -> Value:
    """Of `C = P - zero * S`, IEEE 754's infinity or NaN: from bit 0 up, infinite, negative, NaN; else 0.

    `flags`: of the row's group code: NaN, and if there are such +infinity, -infinity. `total`: P as elements
    leave it. `zero`: signed, None where there is none (and S does not count).
    """
    nan = flags[0]
    if len(flags) == 1:
        return Cat(Const(0, 2), nan)
    infinite, positive_too = flags[1:].any(), total[0]
    negative = total[1]
    wrong = nan | (positive_too & negative)
    if zero is not None:
        subtrahend = Value.cast(zero)
        sum_negative = flags[2]
        # -zero * S has the sign of P, or the infinities cancel; 0 * infinity is NaN as well.
        product_negative = ~(sum_negative ^ subtrahend[-1])
        wrong |= flags[1:].all() | ~subtrahend.any() | (product_negative ^ negative)
    return Cat(infinite & ~wrong, infinite & ~wrong & negative, nan | (infinite & wrong))


def special_float(special: Value) -> Value:
    """The FP32 code of a `special_sum` that is not 0."""
    fraction = Cat(Const(0, FP32.fraction_bits - 1), special[2])
    return Cat(fraction, Const(FP32.exponent_max, FP32.exponent_bits), special[1])
