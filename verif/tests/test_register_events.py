"""What happens in the core as its registers tell it: errors, commands done, interrupts, counters."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import pytest

from mixpe.hw.core.axi_lite import OKAY, SLVERR, STROBES
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import REGISTERS, Access, Error, register
from verif.harness.register_bench import CYCLES_OF_WRITE, Submits, places, simulate, write_beside

CONFIG = CoreConfig(array=Config(rows=4, cols=3, group=32), data_bits=64)
WIDE = CoreConfig(array=Config(rows=4, cols=3, group=32), data_bits=512)
COUNTERS = [each for each in REGISTERS if each.access is Access.COUNTER]


def test_refused_submit():
    submits = Submits()

    async def test(software):
        software.ctx.set(software.core.refused, Error.ALIGNMENT)
        assert await software.write("M", 1) == OKAY
        assert await software.write("SUBMIT", 7, 0) == OKAY
        assert await software.read("ERROR") == await software.read("INTERRUPT") == 0
        assert await software.write("SUBMIT", 0x1234) == SLVERR
        assert software.ctx.get(software.core.error_pending)
        assert await software.fields("INTERRUPT") == {"DONE": 0, "ERROR": 1}
        software.ctx.set(software.core.refused, Error.PENDING)
        assert await software.write("SUBMIT", 0x4321) == SLVERR
        assert await software.fields("ERROR") == {"CODE": Error.ALIGNMENT, "TAG": 0x1234}
        # Cleared, it takes the next one.
        assert await software.write("ERROR", 0x0000FF00) == OKAY  # no field's bits
        assert await software.write("ERROR", 0xFFFFFFFF, 0) == OKAY
        assert await software.read("ERROR") != 0
        for ones in (register("ERROR").pack(CODE=2), register("ERROR").pack(TAG=0x8000)):
            assert await software.write("ERROR", ones) == OKAY
            assert not software.ctx.get(software.core.error_pending)
            assert await software.read("ERROR") == 0
            assert await software.write("SUBMIT", 0x5678) == SLVERR
            assert await software.fields("ERROR") == {"CODE": Error.PENDING, "TAG": 0x5678}
        assert await software.fields("INTERRUPT") == {"DONE": 0, "ERROR": 1}

    simulate(test, CONFIG, watches=[submits])
    assert [command["tag"] for command in submits.commands] == [0x1234, 0x4321, 0x5678, 0x5678]


def test_done_and_failed():
    async def test(software):
        for count, tag in enumerate((0xFFFF, 0x0001, 0x8000), start=1):
            await software.pulse("done", done_tag=tag)
            software.ctx.set(software.core.done_tag, 0x5555)
            assert await software.fields("DONE") == {"COUNT": count, "TAG": tag}
            assert await software.fields("INTERRUPT") == {"DONE": 1, "ERROR": 0}
        assert await software.read("ERROR") == 0
        await software.pulse("failed", failed_code=Error.READ_DECODE, failed_tag=0xBEEF)
        await software.pulse("failed", failed_code=Error.WRITE_SLAVE, failed_tag=0x1111)
        assert await software.fields("ERROR") == {"CODE": Error.READ_DECODE, "TAG": 0xBEEF}
        assert await software.fields("INTERRUPT") == {"DONE": 1, "ERROR": 1}
        assert await software.fields("DONE") == {"COUNT": 3, "TAG": 0x8000}

    simulate(test, CONFIG)


def test_interrupts():
    """Every cause sets its bit; ones written clear bits; `irq` is high while an enabled one is set."""

    async def test(software):
        for causes in range(4):
            await software.write("INTERRUPT", 0xFFFFFFFF)
            if causes & 1:
                await software.pulse("done")
            if causes & 2:
                await software.pulse("failed", failed_code=Error.ABORTED)
            await software.write("INTERRUPT", 0xFFFFFFFF, 0b1110)
            await software.write("INTERRUPT", 0xFFFFFFFC)
            for enabled in range(4):
                await software.write("INTERRUPT_ENABLE", enabled)
                assert await software.read("INTERRUPT") == causes
                assert software.ctx.get(software.core.irq) == bool(causes & enabled)
            for cleared in (1, 2):
                await software.write("INTERRUPT", cleared)
                causes &= ~cleared
                assert await software.read("INTERRUPT") == causes
                assert software.ctx.get(software.core.irq) == bool(causes)

    simulate(test, CONFIG)


def test_interrupt_in_the_cycle_of_its_clearing():
    async def test(software):
        seen = set()
        for cycle in range(CYCLES_OF_WRITE):
            order = await write_beside(
                software, "INTERRUPT", 3, cycle, done=1, failed=1, failed_code=Error.ABORTED
            )
            assert await software.read("INTERRUPT") == (0 if order < 0 else 3)
            await software.write("INTERRUPT", 3)
            seen.add(order)
        assert seen == {-1, 0, 1}

    simulate(test, CONFIG)


def test_error_in_the_cycle_of_its_clearing():
    async def test(software):
        seen = set()
        for cycle in range(CYCLES_OF_WRITE):
            await software.pulse("failed", failed_code=Error.READ_SLAVE, failed_tag=1)
            pulse = {"failed": 1, "failed_code": Error.WRITE_DECODE, "failed_tag": 2}
            order = await write_beside(software, "ERROR", 0xFFFFFFFF, cycle, **pulse)
            expected = {"CODE": Error.NONE, "TAG": 0} if order < 0 else {"CODE": Error.WRITE_DECODE, "TAG": 2}
            assert await software.fields("ERROR") == expected
            await software.write("ERROR", 0xFFFFFFFF)
            seen.add(order)
        assert seen == {-1, 0, 1}

    simulate(test, CONFIG)


def test_failure_and_refusal_in_one_cycle():
    """The failure is the first error; the core can see it and refuse."""

    async def test(software):
        seen = set()
        software.ctx.set(software.core.refused, Error.GROUP)
        for cycle in range(CYCLES_OF_WRITE):
            pulse = {"failed": 1, "failed_code": Error.READ_SLAVE, "failed_tag": 2}
            order = await write_beside(software, "SUBMIT", 9, cycle, **pulse)
            expected = {"CODE": Error.GROUP, "TAG": 9} if order > 0 else {"CODE": Error.READ_SLAVE, "TAG": 2}
            assert await software.fields("ERROR") == expected
            await software.write("ERROR", 1)
            seen.add(order)
        assert seen == {-1, 0, 1}
        assert not software.ctx.get(software.core.error_pending)
        software.ctx.set(software.core.failed, 1)
        assert software.ctx.get(software.core.error_pending)

    simulate(test, CONFIG)


@pytest.mark.parametrize("config", [CONFIG, WIDE], ids=["64", "512"])
def test_counters_add(config):
    """Each counter adds its own input, in every cycle."""

    async def test(software):
        ctx, core = software.ctx, software.core
        most = {name: config.data_bits // 8 if name.endswith("_BYTES") else 1 for name in core.counters}
        expected = dict.fromkeys(most, 0)
        for turn, name in enumerate(most):
            for _ in range(turn + 2):
                await software.pulse(f"add_{name.lower()}", **{f"add_{name.lower()}": most[name]})
                expected[name] += most[name]
        for name, value in expected.items():
            assert await software.read(name) == value
        assert await software.write("CONTROL", register("CONTROL").pack(CLEAR_COUNTERS=1), 0b1110) == OKAY
        assert await software.write("CONTROL", register("CONTROL").pack(ABORT=1)) == OKAY
        assert [await software.read(name) for name in expected] == list(expected.values())
        for name, count in core.counters.items():
            ctx.set(count, (1 << 64) - 1)
            ctx.set(getattr(core, f"add_{name.lower()}"), 1)
        await ctx.tick()
        for name in expected:
            ctx.set(getattr(core, f"add_{name.lower()}"), 0)
        assert [await software.read(name) for name in expected] == [0] * len(expected)
        for count in core.counters.values():
            ctx.set(count, (1 << 64) - 1)
        assert await software.write("CONTROL", register("CONTROL").pack(CLEAR_COUNTERS=1)) == OKAY
        for each in COUNTERS:
            for place in places([each]):
                assert await software.master.read(ctx, place) == (0, OKAY)

    simulate(test, config)


@pytest.mark.parametrize("each", COUNTERS, ids=lambda each: each.name)
def test_counter_halves_are_of_one_moment(each):
    """Whenever the low half carries, the high half is that of the low half that was read."""

    async def test(software):
        ctx, count = software.ctx, software.core.counters[each.name]
        ctx.set(getattr(software.core, f"add_{each.name.lower()}"), 1)
        low, high = places([each])
        other = next(place for place in places(COUNTERS) if place not in (low, high)) | STROBES
        for before in range(12):
            ctx.set(count, (6 << 32) - before)
            start = ctx.get(count)
            first, _ = await software.master.read(ctx, low, r=before % 3)
            end = ctx.get(count)
            for place in (high, other, high):
                second, response = await software.master.read(ctx, place, ar=before % 2)
                assert response == OKAY
                assert start <= second << 32 | first < end

    simulate(test, CONFIG)
