"""How a processing element multiplies and accumulates: one function per strategy.

Every strategy returns `addend + sum(weight * act)` over its pairs, exactly; the caller truncates to
the accumulator's width, which holds every group sum (`Config.sum_bits`).
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Mux, Value

Pairs = Sequence[tuple[Value, Value]]
"""Signed (weight, activation) of every lane."""


def shift_add(addend: Value, pairs: Pairs) -> Value:
    """MixPE's multiplier (arXiv 2411.16158, section 3): every weight bit gates a shifted activation.

    The sign bit of a two's-complement weight has negative place value: its copy is subtracted. Copies are
    added pairwise, at the width of their sum and no more, which keeps the adders narrow.
    """
    return addend + _tree([_shift_add_product(weight, act) for weight, act in pairs])


def _shift_add_product(weight: Value, act: Value) -> Value:
    """weight * act, as wide as the two together."""
    # Sums of neighbouring copies, each with its place value's exponent and the copies it holds.
    terms = [(Mux(bit, act, 0), place, 1) for place, bit in enumerate(weight)]
    while len(terms) > 1:
        merged = []
        for (low, place, count), (high, high_place, high_count) in zip(terms[::2], terms[1::2], strict=False):
            shifted = high << (high_place - place)
            negative = high_place == len(weight) - 1
            total = low - shifted if negative else low + shifted
            merged.append((total[: len(act) + count + high_count].as_signed(), place, count + high_count))
        terms = merged + (terms[-1:] if len(terms) % 2 else [])
    return terms[0][0]


def _tree(values: Sequence[Value]) -> Value:
    """The sum of `values` as a balanced tree."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return _tree(values[:half]) + _tree(values[half:])


def multiplier(addend: Value, pairs: Pairs) -> Value:
    """The baseline: the synthesizer's own multiplier, one per lane."""
    return addend + _tree([weight * act for weight, act in pairs])


STRATEGIES: dict[str, Callable[[Value, Pairs], Value]] = {"shift_add": shift_add, "multiplier": multiplier}
"""By `Config.datapath`."""
