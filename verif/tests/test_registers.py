"""The core's registers, written and read through their AXI4-Lite port in Amaranth's simulator."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random

import pytest
from amaranth.hdl import Signal

from mixpe.hw.core.axi_lite import OKAY, SLVERR
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import ADDRESS_BITS, REGISTERS, Access, Error, register
from verif.harness.register_bench import Submits, places, simulate

WORD = 4  # bytes

SMALL = CoreConfig(array=Config(rows=4, cols=3, lanes=2, group=32), data_bits=64, queue=2)
LARGE = CoreConfig(
    name="largest",
    array=Config(
        rows=128,
        cols=128,
        lanes=8,
        group=16384,
        weight_bits=8,
        weight_signed=False,
        zero_point=True,
        act_format="fp8_e5m2",
        out_format="bf16",
        token_scale=True,
    ),
    data_bits=512,
    address_bits=64,
    queue=15,
)

WRITABLE = [each for each in REGISTERS if each.access is Access.WRITE]
READ_ONLY = [each for each in REGISTERS if each.access in (Access.CONSTANT, Access.READ, Access.COUNTER)]


def test_constants_small():
    async def test(software):
        assert await software.read("ID") == int.from_bytes(b"MixP", "big")
        assert await software.fields("VERSION") == {"LAYOUT": 1, "REGISTERS": 1}
        assert await software.fields("SHAPE") == {"ROWS": 4, "COLS": 3, "LANES": 2}
        assert await software.fields("FORMAT") == {
            "WEIGHT_BITS": 4,
            "WEIGHT_SIGNED": 1,
            "ZERO_POINT": 0,
            "TOKEN_SCALE": 0,
            "OUT_FORMAT": 0,
            "ACT_FORMAT": 0,
            "ACT_BITS": 8,
            "WEIGHT_FORMAT": 0,
            "ALIGN_BITS": 0,
        }
        assert await software.read("GROUP") == 32
        assert await software.fields("BUS") == {"DATA_BYTES": 8, "ADDRESS_BITS": 40, "QUEUE": 2}

    simulate(test, SMALL)


def test_constants_large():
    async def test(software):
        assert await software.fields("SHAPE") == {"ROWS": 128, "COLS": 128, "LANES": 8}
        assert await software.fields("FORMAT") == {
            "WEIGHT_BITS": 8,
            "WEIGHT_SIGNED": 0,
            "ZERO_POINT": 1,
            "TOKEN_SCALE": 1,
            "OUT_FORMAT": 2,
            "ACT_FORMAT": 4,
            "ACT_BITS": 8,
            "WEIGHT_FORMAT": 0,
            "ALIGN_BITS": 33,
        }
        assert await software.read("GROUP") == 16384
        assert await software.fields("BUS") == {"DATA_BYTES": 64, "ADDRESS_BITS": 64, "QUEUE": 15}

    simulate(test, LARGE)


def test_after_reset_all_else_is_zero():
    async def test(software):
        found = await software.everything()
        constant = places(each for each in REGISTERS if each.access is Access.CONSTANT)
        assert [place for place, value in found.items() if value] == constant

    simulate(test, SMALL)


def test_status():
    async def test(software):
        for busy, queued in ((1, 0), (0, 15), (1, 9)):
            software.ctx.set(software.core.busy, busy)
            software.ctx.set(software.core.queued, queued)
            assert await software.fields("STATUS") == {"BUSY": busy, "QUEUED": queued}

    simulate(test, SMALL)


def test_read_only_and_missing_registers():
    """Writing them is answered SLVERR and changes nothing; what is not there reads as SLVERR too."""
    holes = sorted(set(range(0, 1 << ADDRESS_BITS, WORD)) - set(places(REGISTERS)))
    submits = Submits()

    async def test(software):
        software.ctx.set(software.core.busy, 1)
        await software.pulse("done", done_tag=0x1234)
        await software.pulse("failed", failed_code=Error.ABORTED, failed_tag=0x5678)
        await software.write("M", 0xA5A5A5A5)
        before = await software.everything()
        for place in (*places(READ_ONLY), *holes):
            for strobes in (0xF, 0x0):
                assert await software.master.write(software.ctx, place, 0xFFFFFFFF, strobes) == SLVERR
        for place in holes:
            assert await software.master.read(software.ctx, place) == (0, SLVERR)
        assert await software.everything() == before

    simulate(test, SMALL, watches=[submits])
    assert len(holes) > 200
    assert (submits.commands, submits.aborts) == ([], 0)


def test_written_registers_hold_strobed_bytes():
    rng, model = random.Random(7), dict.fromkeys(places(WRITABLE), 0)
    masks = {}
    for each in WRITABLE:
        mask = sum(field.mask for field in each.fields) or (1 << each.bits) - 1
        masks |= {place: mask >> 32 * word & 0xFFFFFFFF for word, place in enumerate(places([each]))}

    async def test(software):
        for turn in range(400):
            place, data, strobes = rng.choice(list(model)), rng.randrange(1 << 32), rng.randrange(16)
            waits = {name: rng.choice((0, 0, 1, 4)) for name in ("aw", "w", "b")} if turn % 2 else {}
            # The two low bits of an address change nothing.
            found = await software.master.write(
                software.ctx, place + rng.randrange(WORD), data, strobes, **waits
            )
            assert found == OKAY
            lanes = sum(0xFF << 8 * byte for byte in range(WORD) if strobes >> byte & 1)
            model[place] = (model[place] & ~lanes | data & lanes) & masks[place]
            for other in (place, rng.choice(list(model))):
                found = await software.master.read(
                    software.ctx, other + rng.randrange(WORD), r=rng.choice((0, 3))
                )
                assert found == (model[other], OKAY)

    simulate(test, SMALL)


@pytest.mark.parametrize("strobes", range(16))
def test_control_pulses(strobes):
    """Each pulse is a cycle long; bytes without a strobe are zero, and nothing is read back."""
    submits = Submits()

    async def test(software):
        for _ in range(3):
            assert await software.write("CONTROL", register("CONTROL").pack(ABORT=1), strobes, b=3) == OKAY
            assert await software.write("CONTROL", 0xFFFFFFFE, strobes) == OKAY
        assert await software.read("CONTROL") == 0

    simulate(test, SMALL, watches=[submits])
    assert submits.aborts == (3 if strobes & 1 else 0)
    assert submits.commands == []


def test_submit():
    submits = Submits()
    values = {
        "A_ADDRESS": 0x0123456789ABCDEF,
        "W_ADDRESS": 1 << 63,
        "S_ADDRESS": 1 << 32,
        "T_ADDRESS": 0xFFFFFFFF,
    }
    values |= {"O_ADDRESS": 0xFEDCBA9876543210, "A_STRIDE": 0x80000001, "O_STRIDE": 0x40000002}
    values |= {"M": 0xFFFFFFFE, "K": 0x01020304, "N": 3}

    async def test(software):
        for name, value in values.items():
            for word, place in enumerate(places([register(name)])):
                await software.master.write(software.ctx, place, value >> 32 * word & 0xFFFFFFFF)
        await software.write("OPERANDS", register("OPERANDS").pack(GROUP=0xABCD, LAYOUT=0xEF))
        assert await software.write("SUBMIT", 0xFFFF5A3C, b=5) == OKAY
        assert await software.write("SUBMIT", 0xFFFF5A3C, 0b0001) == OKAY
        assert await software.write("SUBMIT", 0xFFFF5A3C, 0b0010) == OKAY
        assert await software.write("SUBMIT", 0xFFFF5A3C, 0b1100) == OKAY
        assert await software.read("SUBMIT") == 0
        assert await software.read("ERROR") == await software.read("INTERRUPT") == 0

    simulate(test, SMALL, watches=[submits])
    command = {name.lower(): value for name, value in values.items()} | {"group": 0xABCD, "layout": 0xEF}
    # Without a strobed byte of the tag nothing is submitted.
    assert submits.commands == [command | {"tag": tag} for tag in (0x5A3C, 0x003C, 0x5A00)]


def test_reset():
    """It ends transactions half under way and sets all registers to what they were."""
    reset = Signal()

    async def test(software):
        ctx, core = software.ctx, software.core
        at_first = await software.everything()
        for each in WRITABLE:
            for place in places([each]):
                await software.master.write(ctx, place, 0xFFFFFFFF)
        for name in core.counters:
            await software.pulse(f"add_{name.lower()}")
        await software.pulse("done", done_tag=1)
        await software.pulse("failed", failed_code=1, failed_tag=1)
        assert ctx.get(core.irq)
        ctx.set(core.s_axil_awvalid, 1)
        ctx.set(core.s_axil_arvalid, 1)
        await ctx.tick().repeat(4)
        assert not ctx.get(core.s_axil_awready)
        assert ctx.get(core.s_axil_rvalid)
        ctx.set(core.s_axil_awvalid, 0)
        ctx.set(core.s_axil_arvalid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert not ctx.get(core.irq)
        assert (ctx.get(core.s_axil_awready), ctx.get(core.s_axil_bvalid)) == (1, 0)
        assert (ctx.get(core.s_axil_arready), ctx.get(core.s_axil_rvalid)) == (1, 0)
        assert await software.everything() == at_first

    simulate(test, SMALL, reset=reset)
