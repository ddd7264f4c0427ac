"""Infinities and NaN of aligned activations.

An aligned integer cannot be infinite. In a group with infinities its lowest bit says whether the activation
is infinite, the highest bit of an infinite one is its sign, nothing else of it counts, and the row's
`Config.has_infinities` wire is high. An element then notes in the lowest two bits of its word
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
    """Returns the accumulator's next word: `step`, but with notes of infinities in a group that has some.

    `special` is high in such a group. There the lowest two bits are those of `word`, or set by these
    products.
    """
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
    """Returns what IEEE 754 makes of `C = P - zero * S` if that is infinite or NaN; 0 if it is a number.

    From bit 0 up the result says: infinite or NaN, negative, NaN. `flags` come from the row's group code:
    NaN, and, in formats with infinities, whether the group holds +infinity and -infinity, which with NaN are
    any. `total`: P as elements leave it. `zero`: the signed zero point; None if there is none, and then S
    does not count.
    """
    nan = flags[0]
    if len(flags) == 1:
        return Cat(nan, Const(0, 1), nan)
    infinite, positive_too = flags[1:].any(), total[0]
    negative = total[1]
    wrong = nan | (positive_too & negative)
    if zero is not None:
        subtrahend = Value.cast(zero)
        sum_negative = flags[2]
        # -zero * S has the sign of P, or the infinities cancel; 0 * infinity is NaN as well.
        product_negative = ~(sum_negative ^ subtrahend[-1])
        wrong |= flags[1:].all() | ~subtrahend.any() | (product_negative ^ negative)
    return Cat(nan | infinite, infinite & ~wrong & negative, nan | (infinite & wrong))


def special_float(special: Value) -> Value:
    """Returns the FP32 code of a `special_sum` that is not 0."""
    fraction = Cat(Const(0, FP32.fraction_bits - 1), special[2])
    return Cat(fraction, Const(FP32.exponent_max, FP32.exponent_bits), special[1])
