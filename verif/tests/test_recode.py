"""Digits of recoded weights, for every code of 2 to 8 bits."""

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from mixpe.hw.arith.recode import digits, recode, recoded
from mixpe.hw.element.integer import recoded_weights
from mixpe.spec.array import Config
from mixpe.spec.schemes.integer import RECODED

BITS = range(2, 9)


def simulated(bits):
    """What `recode` makes of every code."""
    code = Signal(bits)
    wires = Signal(Config(weight_bits=bits, datapath="booth").weight_wires)
    m = Module()
    assert len(recode(code)) == len(wires)
    m.d.comb += wires.eq(recode(code))
    found = []

    async def bench(ctx):
        for value in range(1 << bits):
            ctx.set(code, value)
            found.append(ctx.get(wires))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def digit_wires(wires, bits):
    """Bits of each digit: three wires for two bits of a weight, two for an odd one."""
    flags = [(wires >> index) & 1 for index in range(3 * (bits // 2) + 2 * (bits % 2))]
    return [flags[start : start + 3] for start in range(0, len(flags), 3)]


@pytest.mark.parametrize("bits", BITS)
def test_hardware_and_software_agree(bits):
    assert simulated(bits) == [recoded(code, bits) for code in range(1 << bits)]


@pytest.mark.parametrize("bits", BITS)
def test_digits_are_the_weight(bits):
    for code in range(1 << bits):
        weight = code - (1 << bits) if code >> (bits - 1) else code
        wires = recoded(code, bits)
        assert wires >> Config(weight_bits=bits, datapath="booth").weight_wires == 0
        found = digit_wires(wires, bits)
        values = []
        for index, flags in enumerate(found):
            if len(flags) == 2:  # one, minus one
                assert sum(flags) <= 1
                values.append(flags[0] - flags[1])
            elif index < len(found) - 1:  # one, two, minus one
                assert sum(flags) <= 1
                values.append(flags[0] + 2 * flags[1] - flags[2])
            else:  # once, twice, negative
                assert flags[0] + flags[1] <= 1
                # There is no negative zero, which would cost energy.
                assert flags[0] + flags[1] >= flags[2]
                values.append((flags[0] + 2 * flags[1]) * (1 - 2 * flags[2]))
        assert sum(value * 4**place for place, value in enumerate(values)) == weight


@pytest.mark.parametrize("bits", BITS)
def test_zero_is_all_low(bits):
    assert [code for code in range(1 << bits) if recoded(code, bits) == 0] == [0]


@pytest.mark.parametrize("bits", BITS)
def test_digits_take_every_wire_once(bits):
    wires = Signal(3 * (bits // 2) + 2 * (bits % 2))
    found = digits(wires)
    assert len(found) == (bits + 1) // 2
    taken = [
        wire for digit in found for wire in (digit.single, digit.double, digit.negative) if wire is not None
    ]
    assert len(taken) == len(wires)
    assert [digit.double is None for digit in found] == [False] * (bits // 2) + [True] * (bits % 2)
    assert [digit.one_hot for digit in found] == [True] * (len(found) - 1) + [bits % 2 == 1]


def test_lanes_are_recoded_one_by_one():
    codes = Const(0b0101_1000, 8)
    for datapath in RECODED:
        assert len(recoded_weights(Config(datapath=datapath), codes)) == 12
    assert recoded_weights(Config(datapath="bit_heap"), codes) is codes
