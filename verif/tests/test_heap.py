"""Bit heaps: sums of random heaps, in Amaranth's simulator, and what they cost."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from mixpe.hw.arith.adders import Adders
from mixpe.hw.arith.heap import BitHeap
from mixpe.hw.element.datapath import compression
from mixpe.spec.array import Config

ADDERS = ("ripple", "prefix", "plus")
OPERANDS = 24  # of each random heap


class RandomHeap:
    """A heap of random bits, words and constants, and the sum that they ought to have."""

    def __init__(self, rng: random.Random):
        self.width = rng.randint(1, 20)
        self.m = Module()
        self.heap = BitHeap(self.width, Adders(self.m))
        self._terms: list[tuple[Signal, int, bool]] = []  # word, column, signed
        self._constant = 0
        for index in range(rng.randint(0, 12)):
            kind = rng.choice(("add", "subtract", "unsigned", "signed", "constant"))
            column = rng.randint(0, self.width + 1)
            if kind == "constant":
                value = rng.randint(-1 << self.width, 1 << self.width)
                self.heap.add_constant(value)
                self._constant += value
                continue
            word = Signal(1 if kind in ("add", "subtract") else rng.randint(1, 12), name=f"word{index}")
            arrival = rng.choice((0.0, 0.25, 3.0))
            if kind == "add":
                self.heap.add(word, column, arrival)
            elif kind == "subtract":
                self.heap.subtract(word, column, arrival)
            else:
                self.heap.add_word(word, column, arrival, is_signed=kind == "signed")
            self._terms.append((word, column, kind in ("signed", "subtract")))

    def check(self, outputs, value_of):
        """Drives random operands; `value_of` makes a sum of the values of `outputs`."""
        sums = [Signal(len(output), name=f"sum{index}") for index, output in enumerate(outputs)]
        self.m.d.comb += [total.eq(output) for total, output in zip(sums, outputs, strict=True)]
        operands = random.Random(1)

        async def bench(ctx):
            for turn in range(OPERANDS):
                expected = self._constant
                for word, column, is_signed in self._terms:
                    value = operands.getrandbits(len(word)) if turn > 1 else turn * ((1 << len(word)) - 1)
                    ctx.set(word, value)
                    if is_signed:
                        value -= (value >> (len(word) - 1)) << len(word)
                    expected += value << column
                found = value_of(*(ctx.get(total) for total in sums))
                assert (found - expected) % (1 << self.width) == 0

        simulator = Simulator(self.m)
        simulator.add_testbench(bench)
        simulator.run()


@pytest.mark.parametrize("adder", ADDERS)
@pytest.mark.parametrize("seed", range(25))
def test_total(adder, seed):
    heap = RandomHeap(random.Random(seed))
    total = heap.heap.total(adder)
    assert len(total) == heap.width
    heap.check([total], lambda total: total)


@pytest.mark.parametrize("spacing", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(25))
def test_carry_save(spacing, seed):
    heap = RandomHeap(random.Random(seed))
    save = range(spacing, heap.width, spacing)
    total, saved = heap.heap.carry_save(save)
    assert len(total) == heap.width
    if not save:
        heap.check([total], lambda total: total)
        return
    assert len(saved) == len(save)
    heap.check(
        [total, saved],
        lambda total, saved: total + sum(((saved >> i) & 1) << column for i, column in enumerate(save)),
    )


def test_broken_heap_fails(monkeypatch):
    whole = BitHeap._increment
    monkeypatch.setattr(BitHeap, "_increment", lambda self, bit, column: (whole(self, bit, column)[0], None))
    failed = 0
    for seed in range(25):
        heap = RandomHeap(random.Random(seed))
        total = heap.heap.total()
        try:
            heap.check([total], lambda total: total)
        except AssertionError:
            failed += 1
    assert failed


def cost(config):
    found = compression(config)
    assert found is not None
    return found


def test_plain_element_has_32_full_adders():
    """32 products of bits and 19 bits of the sum go in, 19 come out (4x8 bits, groups of 128)."""
    config = Config(datapath="bit_heap")
    heap = cost(config)
    assert config.sum_bits == 19
    assert heap.full_adders == heap.floor == 32


def test_int8_element_has_64_full_adders():
    config = Config(datapath="bit_heap", weight_bits=8)
    heap = cost(config)
    assert config.sum_bits == 23
    assert heap.full_adders == heap.floor == 64


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("bits", [(2, 4), (4, 8), (5, 7), (8, 8)])
def test_lanes_of_bits_reach_the_floor(bits, lanes):
    config = Config(datapath="bit_heap", weight_bits=bits[0], act_bits=bits[1], lanes=lanes)
    heap = cost(config)
    assert heap.full_adders == heap.floor == bits[0] * bits[1] * lanes


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("weight_bits", "rows"), [(2, 10), (3, 19), (4, 20), (5, 29), (8, 40)])
def test_digits_reach_the_floor(weight_bits, rows, lanes):
    """A digit's row has a bit more than the activation (8), an odd one's as many, and a bit for its sign."""
    config = Config(datapath="booth", weight_bits=weight_bits, lanes=lanes)
    heap = cost(config)
    assert heap.full_adders == heap.floor == rows * lanes


@pytest.mark.parametrize("lanes", [1, 4])
def test_saved_carries_go_in_and_come_out(lanes):
    """Those of chains too low to ever carry only go in."""
    config = Config(datapath="carry_save", lanes=lanes)
    heap = cost(config)
    assert heap.full_adders == heap.floor
    assert 20 * lanes <= heap.floor <= 20 * lanes + len(config.carry_columns)
