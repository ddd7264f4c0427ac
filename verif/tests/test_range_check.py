"""The check of a command's regions against integers of Python, at the last address and around it."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random

import pytest
from amaranth.sim import Simulator

from mixpe.hw.core.range_check import RangeCheck
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.registers import Error

COMMANDS = 60
MOST_CYCLES = 12 + 5 * (SIZE_BITS + 3) + 2 * (SIZE_BITS + 1)

CONFIGS = {
    "tokens, 32 bits": CoreConfig(
        array=Config(rows=4, cols=4, group=32, token_scale=True), address_bits=32, data_bits=64
    ),
    "divisions, 40 bits": CoreConfig(
        array=Config(rows=3, cols=5, group=30, lanes=4, zero_point=True), data_bits=128
    ),
    "wide beats, 64 bits": CoreConfig(
        array=Config(rows=2, cols=24, group=1, weight_bits=8, lanes=8), address_bits=64, data_bits=512
    ),
    "wide beats, 32 bits": CoreConfig(
        array=Config(rows=2, cols=128, group=1, weight_bits=8, lanes=4), address_bits=32, data_bits=128
    ),
}


def size(rng: random.Random) -> int:
    """Draws a size of any length."""
    return rng.choice([1, (1 << SIZE_BITS) - 1, rng.randrange(1, 1 << rng.randrange(1, SIZE_BITS + 1))])


def stride(rng: random.Random) -> int:
    lines = 32 - (layout.ALIGNMENT - 1).bit_length()
    return layout.ALIGNMENT * rng.choice([0, 1, (1 << lines) - 1, rng.randrange(1 << rng.randrange(lines))])


def drawn(config: CoreConfig, rng: random.Random) -> tuple[dict[str, int], Error]:
    """Draws a command whose regions end at the last address, a line beyond it, or anywhere; its verdict."""
    top = 1 << config.address_bits
    while True:
        m, k, n = size(rng), size(rng), size(rng)
        least = layout.out_stride(n, config.array)
        a_stride, o_stride = stride(rng), rng.choice([stride(rng), least, least - layout.ALIGNMENT])
        sizes = layout.region_bytes(m, k, n, a_stride, o_stride, config.array)
        # Most draws are too large for any address.
        if max(sizes.values()) <= top or rng.random() < 0.1:
            break
    values = {"m": m, "k": k, "n": n, "a_stride": a_stride, "o_stride": o_stride}
    wrong = rng.choice([*sizes, *[None] * len(sizes)])
    verdict = Error.NONE
    for letter, taken in sizes.items():
        last = top - layout.aligned(taken) + (layout.ALIGNMENT if letter == wrong else 0)
        line = rng.choice([last, rng.randrange(max(1, last))]) if letter != wrong else last
        address = min(max(0, line), top - layout.ALIGNMENT) // layout.ALIGNMENT * layout.ALIGNMENT
        values[f"{letter.lower()}_address"] = address
        if verdict is Error.NONE:
            row = layout.out_row_bytes(n, config.array)
            if letter == "O" and m > 1 and o_stride < row:
                verdict = Error.OVERLAP
            elif address + taken > top:
                verdict = Error.RANGE
    return values, verdict


@pytest.mark.parametrize("name", CONFIGS)
def test_verdicts(name):
    config, rng = CONFIGS[name], random.Random(name)
    core, verdicts = RangeCheck(config), []

    async def bench(ctx):
        for _ in range(COMMANDS):
            values, verdict = drawn(config, rng)
            for member, value in values.items():
                ctx.set(core.command[member], value)
            for _ in range(rng.randrange(3)):
                await ctx.tick()
                assert ctx.get(core.idle)
                assert not ctx.get(core.done)
            ctx.set(core.start, 1)
            cycles = 0
            while not ctx.get(core.done):
                await ctx.tick()
                cycles += 1
                assert cycles <= MOST_CYCLES, "no verdict"
            assert Error(ctx.get(core.error)) is verdict, values
            verdicts.append(verdict)
            await ctx.tick()
            ctx.set(core.start, 0)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    for verdict in (Error.NONE, Error.RANGE, Error.OVERLAP):
        assert verdicts.count(verdict) >= COMMANDS // 20, verdict
