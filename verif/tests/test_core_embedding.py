"""A whole core elaborated inline, as a user of Amaranth embeds it, in Amaranth's own simulator."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import gc
from collections import deque

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from mixpe.hw.core.core import Core
from mixpe.quant.golden import mpgemm
from mixpe.quant.packing import memory
from mixpe.quant.samples import random_operands
from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.registers import register
from verif.harness.axi_lite import AxiLiteMaster, slave_watch

PERIOD = 1e-6
MOST_CYCLES = 5000
SMALL = {"data_bits": 64, "burst": 2, "act_words": 2, "weight_words": 4, "scale_words": 4}

CORES = {
    "everything": CoreConfig(
        array=Config(rows=2, cols=3, group=6, lanes=4, zero_point=True, token_scale=True, out_format="fp16"),
        **SMALL,
    ),
    "bare": CoreConfig(array=Config(rows=1, cols=1, group=2, weight_bits=2, act_bits=4), **SMALL),
    "aligned": CoreConfig(
        array=Config(rows=2, cols=2, group=4, act_format="fp8_e5m2", align_bits=9), name="core", **SMALL
    ),
}


class System(wiring.Component):
    """A design of the user's: it passes on the core's ports, and counts interrupts."""

    def __init__(self, config: CoreConfig):
        self.core = Core(config)
        super().__init__({**self.core.signature.members, "interrupts": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        for name, member in core.signature.members.items():
            inner, outer = getattr(core, name), getattr(self, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        before = Signal()
        m.d.sync += [before.eq(core.irq), self.interrupts.eq(self.interrupts + (core.irq & ~before))]
        return m


def memory_process(system: System, data: np.ndarray, config: CoreConfig):
    """A background testbench: memory that takes a request and a word in every cycle."""
    size = config.word_bytes
    reads, addresses, words, answers = deque(), deque(), deque(), deque()

    def store() -> None:
        """A burst whose address and words are there."""
        address, count = addresses[0]
        if len(words) >= count:
            addresses.popleft()
            for place in range(address, address + count * size, size):
                value, strobes = words.popleft()
                for byte in range(size):
                    if strobes >> byte & 1:
                        data[place + byte] = value >> 8 * byte & 0xFF
            answers.append(None)

    async def serve(ctx):
        ctx.set(system.m_axi_arready, 1)
        ctx.set(system.m_axi_awready, 1)
        ctx.set(system.m_axi_wready, 1)
        request = ("valid", "addr", "len")
        ports = [getattr(system, f"m_axi_{channel}{name}") for channel in ("ar", "aw") for name in request]
        ports += [getattr(system, f"m_axi_w{name}") for name in ("valid", "data", "strb")]
        while True:
            _, _, *values = await ctx.tick().sample(*ports, system.m_axi_rready, system.m_axi_rvalid)
            (ar, ar_address, more, aw, aw_address, aw_more, w, value, strobes, rready, rvalid) = values
            if ar:
                ends = [False] * more + [True]
                reads.extend((ar_address + size * word, end) for word, end in enumerate(ends))
            if aw:
                addresses.append((aw_address, aw_more + 1))
            if w:
                words.append((value, strobes))
            ctx.set(system.m_axi_bvalid, bool(answers))
            if answers:
                answers.popleft()
            if addresses:
                store()
            if rready or not rvalid:
                ctx.set(system.m_axi_rvalid, bool(reads))
                if reads:
                    place, end = reads.popleft()
                    word = int.from_bytes(data[place : place + size].tobytes(), "little")
                    ctx.set(system.m_axi_rdata, word)
                    ctx.set(system.m_axi_rlast, end)

    return serve


def placed(data: np.ndarray, regions: dict[str, np.ndarray]) -> dict[str, int]:
    """Puts regions in memory one after another; their addresses."""
    found, address = {}, 0
    for name, octets in regions.items():
        data[address : address + octets.size] = octets
        found[f"{name}_ADDRESS"] = address
        address += layout.aligned(octets.size)
    return found


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_product(config):
    """More than a tile each way, activations that do not fit in a bank, and a second command behind it."""
    array = config.array
    system, data = System(config), np.full(1 << 14, 0xA5, np.uint8)
    m, n = array.rows + 1, array.cols + 1
    k = next(k for k in range(1, 1000) if not config.resident(k))
    a, weights, t = random_operands(np.random.default_rng(6), m, k, n, array)
    packed, stride = memory.pack_weights(weights, array), layout.out_stride(n, array)
    acts = memory.pack_acts(a, array)
    regions = {"A": acts.ravel(), "W": packed.weights, "S": packed.scales}
    regions |= {} if t is None else {"T": memory.pack_tokens(t)}
    registers = placed(data, regions | {"O": np.full(2 * m * stride, 0xA5, np.uint8)})
    registers |= {"A_STRIDE": acts.shape[1], "O_STRIDE": stride, "M": m, "K": k, "N": n}
    registers["OPERANDS"] = register("OPERANDS").pack(GROUP=array.group, LAYOUT=layout.LAYOUT_VERSION)
    registers["INTERRUPT_ENABLE"] = register("INTERRUPT_ENABLE").pack(DONE=1)
    before = data.copy()
    master, counted = AxiLiteMaster(system), {}

    async def software(ctx):
        for name, value in registers.items():
            assert await master.write(ctx, register(name).offset, value) == 0
        assert await master.write(ctx, register("SUBMIT").offset, 1) == 0
        second = registers["O_ADDRESS"] + m * stride
        assert await master.write(ctx, register("O_ADDRESS").offset, second) == 0
        assert await master.write(ctx, register("SUBMIT").offset, 2) == 0
        while (await master.read(ctx, register("DONE").offset))[0] != 2 << 16 | 2:
            assert await master.write(ctx, register("INTERRUPT").offset, 1) == 0
        for name in ("BEATS", "READ_BYTES", "WRITE_BYTES"):
            counted[name], _ = await master.read(ctx, register(name).offset)
        assert ctx.get(system.interrupts) >= 1

    async def watch(ctx):
        await ctx.delay(MOST_CYCLES * PERIOD)
        raise AssertionError(f"not done after {MOST_CYCLES} cycles")

    simulator = Simulator(system)
    simulator.add_clock(PERIOD)
    simulator.add_testbench(software)
    for background in (memory_process(system, data, config), slave_watch(system), watch):
        simulator.add_testbench(background, background=True)
    simulator.run()

    out = memory.pack_results(mpgemm(a, weights, t=t, config=array), array)
    width, first = layout.out_row_bytes(n, array), registers["O_ADDRESS"]
    for start in (first, first + m * stride):
        before[start : start + m * stride].reshape(m, -1)[:, :width] = out[:, :width]
    assert (data == before).all()
    assert counted == {
        "BEATS": 2 * traffic.beats(m, k, n, config),
        "READ_BYTES": 2 * traffic.read_bytes(m, k, n, config),
        "WRITE_BYTES": 2 * traffic.write_bytes(m, n, config),
    }


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_core_without_masters_is_refused():
    with pytest.raises(UserError) as error:
        Core(CoreConfig(bus="stream"))
    assert str(error.value) == "bus must be axi for a core with masters, not stream"
    del error
    gc.collect()  # here, where its complaint about the core that is not used is ignored
