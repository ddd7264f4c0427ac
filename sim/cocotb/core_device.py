"""An accelerator core under test: registers by cocotbext-axi, products in a strict memory.

The environment variable MIXPE_CORE: as of `core_memory`.
"""

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiResp, AxiSlaveRead, AxiSlaveWrite

from ...spec.layout import regions
from ...spec.registers import register
from .core_memory import ARRAY, Memory, Watch
from .core_products import Command
from .streams import reset, start_clock

ADDRESSES = regions(ARRAY)
"""First letters of the addresses that a command has."""


class CoreDevice:
    """Drives the core with a master on its registers and a memory.

    `reads`, `writes`: the sides of cocotbext-axi's slave at its memory port.
    """

    def __init__(self, dut, rng: np.random.Generator):
        self.dut = dut
        self.rng = rng
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.memory = Memory(rng)
        bus = AxiBus.from_prefix(dut, "m_axi")
        # Without a reset of their own, as the core may be reset alone.
        self.reads = AxiSlaveRead(bus.read, dut.clk, target=self.memory)
        self.writes = AxiSlaveWrite(bus.write, dut.clk, target=self.memory)
        self.watch = Watch(dut)
        self.written: dict[str, int] = {}
        self._control: Any = self.registers
        for side in (self._control.write_if, self._control.read_if):
            side.log.setLevel("WARNING")
        for side in (self.reads, self.writes):
            side.log.setLevel("ERROR")
        self._reset_memory(True)

    async def start(self) -> None:
        start_clock(self.dut)
        await self.reset()
        cocotb.start_soon(self.watch.run())

    async def reset(self) -> None:
        """Resets the core and its memory, whatever is under way."""
        self._reset_memory(True)
        await self.reset_alone()
        self._reset_memory(False)

    async def reset_alone(self) -> None:
        """Resets the core while memory goes on."""
        await reset(self.dut)
        self.written = {}

    def _reset_memory(self, now: bool) -> None:
        for part in (
            *(self.reads, self.reads.ar_channel, self.reads.r_channel),
            *(self.writes, self.writes.aw_channel, self.writes.w_channel, self.writes.b_channel),
        ):
            part.assert_reset(now)

    def pause(self, chance: float) -> None:
        """Lets every channel of memory and registers pause at random, each cycle with that chance."""
        read, write, control = self.reads, self.writes, self._control
        channels = (
            read.ar_channel,
            read.r_channel,
            write.aw_channel,
            write.w_channel,
            write.b_channel,
            control.read_if.ar_channel,
            control.read_if.r_channel,
            control.write_if.aw_channel,
            control.write_if.w_channel,
            control.write_if.b_channel,
        )
        for channel in channels:
            channel.clear_pause_generator()
            channel.pause = False  # which the generator may have left high
            if chance:
                draws = self.rng.random(997) < chance
                channel.set_pause_generator(itertools.cycle(draws.tolist()))

    async def read(self, name: str) -> int:
        each = register(name)
        value = 0
        for word in range(each.words):
            answer: Any = await self.registers.read(each.offset + 4 * word, 4)
            assert answer.resp == AxiResp.OKAY, f"reading {name} is answered {answer.resp!r}"
            value |= int.from_bytes(answer.data, "little") << 32 * word
        return value

    async def fields(self, name: str) -> dict[str, int]:
        return register(name).unpack(await self.read(name))

    async def write(self, name: str, value: int) -> AxiResp:
        """Returns the worst answer to its words."""
        each, worst = register(name), AxiResp.OKAY
        for word in range(each.words):
            half = value >> 32 * word & 0xFFFFFFFF
            answer: Any = await self.registers.write(each.offset + 4 * word, half.to_bytes(4, "little"))
            worst = max(worst, answer.resp)
        return worst

    async def submit(self, registers: dict[str, int], tag: int) -> AxiResp:
        """Writes registers, at times only those that change, and SUBMIT."""
        everything = self.rng.integers(0, 2)
        for name, value in registers.items():
            if everything or self.written.get(name, 0) != value:
                assert await self.write(name, value) == AxiResp.OKAY
                self.written[name] = value
        return await self.write("SUBMIT", tag)

    async def accepted(self, command: Command, tag: int) -> None:
        assert await self.submit(command.registers, tag) == AxiResp.OKAY, f"{command.shape} is refused"

    async def idle(self, patience: int = 10_000) -> None:
        """Waits until no command is under way or waits; fails if nothing moves for `patience` cycles."""
        moved, waited = self.watch.moved, 0
        while (await self.fields("STATUS"))["BUSY"]:
            await ClockCycles(self.dut.clk, 20)
            waited += 20
            if self.watch.moved != moved:
                moved, waited = self.watch.moved, 0
            assert waited <= patience, f"the core is busy, and did nothing for {patience} cycles"
