"""cocotb bench of the processing elements: a bank of formats and variants, against NumPy integers."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from mixpe.sim.cocotb.seeds import bench_rng
from mixpe.spec.array import Config

from .pe_bank import GROUP, OPERAND_BITS, formats, specs

_LATENCY = 2  # cycles from operands to their sum


async def run(dut, weights: np.ndarray, acts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Feeds operand codes uint8 [cycles, formats, lanes] and group ends [cycles]; returns the bank's sums,
    int32 [cycles, elements], row c from the cycle in which a group that ends with operands c shows."""
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    dut.rst.value = 1
    dut.weights.value = dut.acts.value = dut.group_end.value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    count, width = len(ends), len(dut.sums) // 8
    sums = []
    for index in range(count + _LATENCY):
        if index < count:
            dut.weights.value = int.from_bytes(weights[index].tobytes(), "little")
            dut.acts.value = int.from_bytes(acts[index].tobytes(), "little")
        # One cycle behind the operands; the first one ends what the reset left behind.
        dut.group_end.value = int(ends[index - 1]) if 1 <= index <= count else 1
        await RisingEdge(dut.clk)
        if index >= _LATENCY:
            sums.append(dut.sums.value.to_unsigned().to_bytes(width, "little"))
    return np.frombuffer(b"".join(sums), np.int32).reshape(count, -1)


def values(codes: np.ndarray, bits: int) -> np.ndarray:
    """Returns the low `bits` of unsigned codes as two's complement, int64."""
    low = codes.astype(np.int64) & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits)


def resolved(words: np.ndarray, config: Config) -> np.ndarray:
    """Returns group sums, int64, of an element's words int32: carries kept apart above the sum are added."""
    if not config.carry_columns:
        return words.astype(np.int64)
    codes = words.astype(np.int64) & 0xFFFFFFFF
    carries = codes >> config.sum_bits
    for index, column in enumerate(config.carry_columns):
        codes = codes + (((carries >> index) & 1) << column)
    return values(codes, config.sum_bits)


def check(sums: np.ndarray, weights: np.ndarray, acts: np.ndarray, ends: np.ndarray) -> None:
    """Compares with the exact sum of each group, in the cycle of its end, and zero in all others."""
    lanes = weights.shape[2]
    starts = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    for index, config in enumerate(specs(lanes)):
        own = formats(lanes).index((config.weight_bits, config.act_bits))
        products = values(weights[:, own], config.weight_bits) * values(acts[:, own], config.act_bits)
        expected = np.zeros(len(ends), np.int64)
        expected[ends.astype(bool)] = np.add.reduceat(products.sum(axis=1), starts)
        found = resolved(sums[:, index], config)
        wrong = np.flatnonzero(found != expected)
        if len(wrong):
            at = wrong[0]
            raise AssertionError(
                f"{config.name}: {len(wrong)} of {len(ends)} cycles wrong; cycle {at}: weights "
                f"{weights[at, own]}, acts {acts[at, own]}: {found[at]}, not {expected[at]}"
            )


@cocotb.test()
async def every_pair(dut):
    """Every pair of a weight and an activation of every format, each a group of its own (one lane).

    A format that has met all its pairs holds the last one, which costs the simulator nothing.
    """
    count = 1 << (2 * OPERAND_BITS)
    weights, acts = (np.zeros((count, len(formats(1)), 1), np.uint8) for _ in range(2))
    for index, (weight_bits, act_bits) in enumerate(formats(1)):
        pairs = np.minimum(np.arange(count), (1 << (weight_bits + act_bits)) - 1)
        weights[:, index, 0] = pairs >> act_bits
        acts[:, index, 0] = pairs & ((1 << act_bits) - 1)
    ends = np.ones(count, np.uint8)
    check(await run(dut, weights, acts, ends), weights, acts, ends)


@cocotb.test()
async def random_groups(dut):
    """Groups of random length up to the longest, of random and of extreme operands, any number of lanes."""
    lanes = int(os.environ["MIXPE_BENCH_LANES"])
    shape = (len(formats(lanes)), lanes)
    rng = bench_rng()
    extremes = 30
    lengths = np.concatenate([rng.integers(1, GROUP, 100, endpoint=True), np.full(extremes, GROUP)])
    ends = np.zeros(lengths.sum(), np.uint8)
    ends[np.cumsum(lengths) - 1] = 1
    weights, acts = (rng.integers(0, 256, (len(ends), *shape), np.uint8) for _ in range(2))
    for operands, own in ((weights, 0), (acts, 1)):
        for index, bits in enumerate(bits[own] for bits in formats(lanes)):
            codes = rng.choice([0, 1 << (bits - 1), (1 << (bits - 1)) - 1, (1 << bits) - 1], (extremes, 1))
            operands[-extremes * GROUP :, index] = np.repeat(codes, GROUP, axis=0)
    check(await run(dut, weights, acts, ends), weights, acts, ends)
