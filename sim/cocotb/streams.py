"""Drives and collects valid-ready streams at the ports of a top module."""

from collections.abc import Sequence

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import Event, RisingEdge
from cocotb.utils import get_sim_time

CLOCK_NS = 10


class Stream:
    """Stands for the ports of the stream `name` of `dut`, and notes which beats moved when."""

    def __init__(self, dut, name: str, rng: np.random.Generator):
        self.clk = dut.clk
        self.payload = getattr(dut, f"{name}__payload")
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.rng = rng
        self.wait = 0.0
        """Chance to pause for a cycle."""
        self.taken: list[int] = []
        """Cycle in which each beat was taken."""


class Source(Stream):
    """Offers beats on an input stream, in order.

    While nothing is offered the payload is noise, which the design must not take.
    """

    def __init__(self, dut, name: str, rng: np.random.Generator):
        super().__init__(dut, name, rng)
        self.idle()

    def idle(self) -> None:
        self.valid.value = 0
        self.payload.value = int.from_bytes(self.rng.bytes(-(-len(self.payload) // 8)), "little") & (
            (1 << len(self.payload)) - 1
        )

    async def send(self, beats: Sequence[int]) -> None:
        """Offers `beats`; returns when the last one is taken."""
        for beat in beats:
            while self.wait and self.rng.random() < self.wait:
                self.idle()
                await RisingEdge(self.clk)
            self.valid.value = 1
            self.payload.value = beat
            await RisingEdge(self.clk)
            while not self.ready.value:
                await RisingEdge(self.clk)
            self.taken.append(cycle())
        self.idle()


class Sink(Stream):
    """Takes beats from an output stream. A beat that is offered but not taken must stay as it is."""

    def __init__(self, dut, name: str, rng: np.random.Generator):
        super().__init__(dut, name, rng)
        self.beats: list[int] = []
        self.ready.value = 0
        self._count = 0
        self._enough = Event()

    async def run(self) -> None:
        """Takes beats for ever."""
        held = None
        while True:
            ready = not (self.wait and self.rng.random() < self.wait)
            self.ready.value = int(ready)
            await RisingEdge(self.clk)
            offered = int(self.payload.value) if self.valid.value else None
            if held is not None and offered != held:
                raise AssertionError(f"beat {len(self.beats)} changed before it was taken")
            held = None if ready else offered
            if ready and offered is not None:
                self.beats.append(offered)
                self.taken.append(cycle())
                if len(self.beats) == self._count:
                    self._enough.set()

    async def receive(self, count: int) -> None:
        """Returns when `count` beats in all are taken."""
        self._count = count
        self._enough.clear()
        if len(self.beats) < count:
            await self._enough.wait()


def cycle() -> int:
    """Returns the number of the clock edge at this moment."""
    return round(get_sim_time("ns")) // CLOCK_NS


def start_clock(dut) -> None:
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, unit="ns").start())


async def reset(dut) -> None:
    """Holds reset for two cycles."""
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
