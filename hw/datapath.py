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

    The sign bit of a two's-complement weight has negative place value: its copy is subtracted.
    """
    total = addend
    for weight, act in pairs:
        for place in range(len(weight) - 1):
            total = total + (Mux(weight[place], act, 0) << place)
        total = total - (Mux(weight[-1], act, 0) << (len(weight) - 1))
    return total


def multiplier(addend: Value, pairs: Pairs) -> Value:
    """The baseline: the synthesizer's own multiplier, one per lane."""
    total = addend
    for weight, act in pairs:
        total = total + weight * act
    return total


STRATEGIES: dict[str, Callable[[Value, Pairs], Value]] = {"shift_add": shift_add, "multiplier": multiplier}
"""By `Config.datapath`."""
