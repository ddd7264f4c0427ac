"""The AXI4-Lite slave under random traffic on every channel."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from mixpe.hw.core.axi_lite import OKAY, SLAVE, SLVERR, AxiLiteSlave, LiteSlave, axil_members
from mixpe.hw.ports import lead_out
from mixpe.spec.registers import ADDRESS_BITS, WORD_BITS
from verif.harness.axi_lite import slave_watch

PERIOD = 1e-6
ACCESSES = 60


class Echo(wiring.Component):
    """Shows a number made of the index. Odd indices cannot be read, those of the upper half not written."""

    def __init__(self):
        self.port = AxiLiteSlave()
        super().__init__(axil_members())

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = self.port
        lead_out(m, self, port, SLAVE, LiteSlave())
        m.d.comb += [
            port.read_data.eq(port.read_index * 0x01020304),
            port.read_error.eq(port.read_index[0]),
            port.write_error.eq(port.write_index[-1]),
        ]
        return m


def offer(component, channel: str, beats: list[dict], rng: random.Random, wait: float):
    """A testbench that offers `beats` on a channel, each after a pause of chance `wait` a cycle."""
    valid, ready = (getattr(component, f"s_axil_{channel}{name}") for name in ("valid", "ready"))

    async def bench(ctx):
        for beat in beats:
            while rng.random() < wait:
                await ctx.tick()
            for name, value in beat.items():
                ctx.set(getattr(component, f"s_axil_{channel}{name}"), value)
            ctx.set(valid, 1)
            await ctx.tick().until(ready)
            ctx.set(valid, 0)

    return bench


def take(component, channel: str, names: tuple[str, ...], taken: list, rng: random.Random, wait: float):
    """A testbench that takes as many answers as there are accesses."""
    valid, ready = (getattr(component, f"s_axil_{channel}{name}") for name in ("valid", "ready"))
    ports = [getattr(component, f"s_axil_{channel}{name}") for name in names]

    async def bench(ctx):
        while len(taken) < ACCESSES:
            now = rng.random() >= wait
            ctx.set(ready, now)
            _, _, offered, *payload = await ctx.tick().sample(valid, *ports)
            if now and offered:
                taken.append(tuple(payload))
        ctx.set(ready, 0)

    return bench


@pytest.mark.parametrize(
    "waits", [(0, 0, 0), (0, 0.7, 0), (0.7, 0, 0), (0, 0, 0.8), (0.4, 0.4, 0.4), (0.9, 0.2, 0.6)]
)
def test_traffic(waits):
    wait_address, wait_data, wait_answer = waits
    rng, echo = random.Random(str(waits)), Echo()
    writes = [
        (rng.randrange(1 << ADDRESS_BITS), rng.randrange(1 << WORD_BITS), rng.randrange(16))
        for _ in range(ACCESSES)
    ]
    reads = [rng.randrange(1 << ADDRESS_BITS) for _ in range(ACCESSES)]
    written, answers, found, cycles = [], [], [], [0]

    async def watch(ctx):
        port = echo.port
        while True:
            _, _, write, *values = await ctx.tick().sample(
                port.write, port.write_index, port.write_data, port.write_strobes
            )
            cycles[0] += 1
            written.extend([tuple(values)] if write else [])
            if cycles[0] > 100 * ACCESSES:
                raise AssertionError("the slave hangs")

    simulator = Simulator(echo)
    simulator.add_clock(PERIOD)
    for bench in (
        offer(echo, "aw", [{"addr": address} for address, _, _ in writes], rng, wait_address),
        offer(echo, "w", [{"data": data, "strb": strobes} for _, data, strobes in writes], rng, wait_data),
        offer(echo, "ar", [{"addr": address} for address in reads], rng, wait_address),
        take(echo, "b", ("resp",), answers, rng, wait_answer),
        take(echo, "r", ("data", "resp"), found, rng, wait_answer),
    ):
        simulator.add_testbench(bench)
    simulator.add_testbench(watch, background=True)
    simulator.add_testbench(slave_watch(echo), background=True)
    simulator.run()
    assert written == [(address // 4, data, strobes) for address, data, strobes in writes]
    assert answers == [(SLVERR if address >= 512 else OKAY,) for address, _, _ in writes]
    assert found == [
        (address // 4 * 0x01020304 % 2**32, SLVERR if address // 4 % 2 else OKAY) for address in reads
    ]
    if not any(waits):
        assert cycles[0] <= 2 * ACCESSES + 3


def test_outputs_depend_on_registers_only():
    """Neither ready nor valid moves within a cycle, whatever the master does."""
    echo, rng = Echo(), random.Random(2)
    members = axil_members()
    inputs = [getattr(echo, name) for name, member in members.items() if member.flow == wiring.In]
    outputs = [getattr(echo, name) for name, member in members.items() if member.flow == wiring.Out]

    async def bench(ctx):
        shown = set()
        for _ in range(100):
            before = None
            for _ in range(3):
                for port in inputs:
                    ctx.set(port, rng.randrange(1 << len(port)))
                after = tuple(ctx.get(port) for port in outputs)
                assert before in (None, after)
                before = after
            shown.add(before)
            await ctx.tick()
        assert len(shown) > 50

    simulator = Simulator(echo)
    simulator.add_clock(PERIOD)
    simulator.add_testbench(bench)
    simulator.run()
