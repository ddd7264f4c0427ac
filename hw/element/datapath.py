"""Strategies by which a processing element multiplies and accumulates, one function each.

A strategy returns the accumulator's next word: `word + sum(weight * act)` over its pairs, exactly,
truncated to the accumulator's width, which holds every group sum (`Config.sum_bits`). The word is the sum
itself; `carry_save` keeps some carries apart above it (`Config.drain_bits`), and `resolved` adds them.
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Fragment, Module, Mux, Signal, Value, signed

from ...spec.array import Config
from ..arith.adders import Adders, Compression
from ..arith.heap import BitHeap
from ..arith.recode import digits

Pairs = Sequence[tuple[Value, Value]]
"""A weight, on `Config.weight_wires` wires, and a signed activation for every lane."""

# When partial products arrive, in delays of a full adder, behind the operands' registers.
_GATE, _SELECTED = 0.25, 0.5


def shift_add(_config: Config, _adders: Adders, word: Value, pairs: Pairs) -> Value:
    """Adds products of MixPE's multiplier (arXiv 2411.16158, section 3): bits gate shifted activations.

    The sign bit of a two's-complement weight has negative place value: its copy is subtracted. Copies are
    added pairwise, at the width of their sum and no more, which keeps the adders narrow. Adders are `+`.
    """
    return word.as_signed() + _tree([_shift_add_product(weight, act) for weight, act in pairs])


def _shift_add_product(weight: Value, act: Value) -> Value:
    """Returns weight * act, as wide as the two together."""
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
    """Returns the sum of `values`, added as a balanced tree."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return _tree(values[:half]) + _tree(values[half:])


def multiplier(_config: Config, _adders: Adders, word: Value, pairs: Pairs) -> Value:
    """Adds products of the synthesizer's own multiplier `*`, one per lane: the baseline."""
    return word.as_signed() + _tree([weight.as_signed() * act for weight, act in pairs])


def bit_heap(config: Config, adders: Adders, word: Value, pairs: Pairs) -> Value:
    """Sums a bit heap of the accumulator and of ANDs of operands' bits (Baugh and Wooley 1973)."""
    heap = BitHeap(config.sum_bits, adders)
    for weight, act in pairs:
        for row, weight_bit in enumerate(weight):
            for column, act_bit in enumerate(act):
                negative = (row == len(weight) - 1) != (column == len(act) - 1)
                add = heap.subtract if negative else heap.add
                add(adders.wire(weight_bit & act_bit), row + column, _GATE)
    heap.add_word(word, arrival=_GATE)
    return heap.total(config.final_adder)


def booth(config: Config, adders: Adders, word: Value, pairs: Pairs) -> Value:
    """Sums one bit heap of the accumulator and, for each digit of a weight, a multiple of the activation."""
    heap = _multiples(config, adders, pairs)
    heap.add_word(word, arrival=_GATE)
    return heap.total(config.final_adder)


def carry_save(config: Config, adders: Adders, word: Value, pairs: Pairs) -> Value:
    """Sums as `booth` does, in chains of `CARRY_SPACING` columns whose carries wait in the word."""
    heap = _multiples(config, adders, pairs)
    heap.add_word(word[: config.sum_bits], arrival=_GATE)
    for column, carry in zip(config.carry_columns, word[config.sum_bits :], strict=True):
        heap.add(carry, column, _GATE)
    return Cat(*heap.carry_save(config.carry_columns))


def _multiples(config: Config, adders: Adders, pairs: Pairs) -> BitHeap:
    """Returns a heap of the products: a multiple of an activation for each digit of its weight."""
    heap = BitHeap(config.sum_bits, adders)
    for weight, act in pairs:
        _add_multiples(heap, adders, weight, act)
    return heap


def _add_multiples(heap: BitHeap, adders: Adders, weight: Value, act: Value) -> None:
    """Adds weight * act: a row for each digit, as wide as twice the activation where it can be that."""
    for index, digit in enumerate(digits(weight)):
        width = len(act) + (digit.double is not None)
        for bit in range(width):
            own = act[min(bit, len(act) - 1)]
            chosen = digit.single & own
            if digit.double is not None and bit > 0:
                chosen |= digit.double & act[bit - 1]
            chosen = chosen | (digit.negative & ~own) if digit.one_hot else chosen ^ digit.negative
            add = heap.subtract if bit == width - 1 else heap.add
            add(adders.wire(chosen), 2 * index + bit, _SELECTED)
        heap.add(digit.negative, 2 * index)  # -x is the inverse of x, and one


def resolved(config: Config, word: Value) -> Value:
    """Returns the signed sum that an accumulator's word stands for, `Config.sum_bits` wide."""
    total, saved = word[: config.sum_bits], iter(word[config.sum_bits :])
    if config.carry_columns:
        columns = range(config.sum_bits)
        total = total + Cat(
            next(saved) if column in config.carry_columns else Const(0, 1) for column in columns
        )
    return total[: config.sum_bits].as_signed()


STRATEGIES: dict[str, Callable[[Config, Adders, Value, Pairs], Value]] = {
    "shift_add": shift_add,
    "multiplier": multiplier,
    "bit_heap": bit_heap,
    "booth": booth,
    "carry_save": carry_save,
}
"""The strategies by the names that `Config.datapath` takes."""


def compression(config: Config) -> Compression | None:
    """Returns what the bit heap of a configuration's element costs; None for a datapath without one."""
    m = Module()
    adders = Adders(m)
    pairs = [(Signal(config.weight_wires), Signal(signed(config.act.bits))) for _ in range(config.lanes)]
    STRATEGIES[config.datapath](config, adders, Signal(config.drain_bits), pairs)
    Fragment.get(m, None)  # elaborated or not, Amaranth warns of modules that never are
    return adders.heaps[0] if adders.heaps else None
