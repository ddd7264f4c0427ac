"""Choosing one of several words by an index."""

from collections.abc import Sequence

from amaranth.hdl import Mux, Value


def words(value: Value, count: int) -> list[Value]:
    """Returns `value` cut into `count` words of equal width, the lowest first."""
    return [value.word_select(index, len(value) // count) for index in range(count)]


def chosen(index: Value, choices: Sequence[Value]) -> Value:
    """Returns the choice of that index, through a tree of multiplexers; any, if there are not so many."""
    if len(choices) == 1:
        return choices[0]
    half = 1 << ((len(choices) - 1).bit_length() - 1)
    bits = half.bit_length() - 1
    return Mux(index[bits], chosen(index[:bits], choices[half:]), chosen(index[:bits], choices[:half]))
