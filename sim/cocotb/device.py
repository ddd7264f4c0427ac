"""An array as a bench sees it: a source on every input stream, a sink on the output."""

import cocotb
import numpy as np
from cocotb.triggers import SimTimeoutError, with_timeout

from ...quant.packing.beats import Beats
from ...spec.array import Config
from ...spec.streams import inputs
from .streams import CLOCK_NS, Sink, Source, reset, start_clock


class Device:
    """Drives the top `dut` of `config`; `rng` draws the waits and the noise between beats."""

    def __init__(self, dut, config: Config, rng: np.random.Generator):
        self.dut = dut
        self.config = config
        self.sources = {stream.name: Source(dut, stream.name, rng) for stream in inputs(config)}
        self.sink = Sink(dut, "out", rng)
        self.senders: dict = {}

    async def start(self) -> None:
        """Starts the clock, resets, and takes output from then on."""
        start_clock(self.dut)
        await reset(self.dut)
        cocotb.start_soon(self.sink.run())

    def send(self, beats: Beats) -> None:
        """Offers `beats`, every stream on its own, and does not wait."""
        self.senders = {
            name: cocotb.start_soon(source.send(beats.of(name))) for name, source in self.sources.items()
        }

    def stop(self) -> None:
        """Stops offering beats."""
        for sender in self.senders.values():
            sender.cancel()
        for source in self.sources.values():
            source.idle()

    def check_all_sent(self) -> None:
        """Fails if an input beat is left over."""
        left = [name for name, sender in self.senders.items() if not sender.done()]
        if left:
            self.stop()
            raise AssertionError(f"all results came out, but not all beats of {', '.join(left)} went in")

    async def transfer(self, beats: Beats, count: int) -> tuple[list[int], int]:
        """Sends `beats`; returns the next `count` output beats, and the cycles from the first beat taken to
        the last beat out, both counted. Fails when no stream moves for long."""
        begun = {name: len(source.taken) for name, source in self.sources.items()}
        done = len(self.sink.beats)
        self.send(beats)
        await self._receive(done + count)
        first = min(source.taken[begun[name]] for name, source in self.sources.items())
        return self.sink.beats[done:], self.sink.taken[-1] - first + 1

    async def _receive(self, count: int) -> None:
        patience = 20 * (self.config.tile_gap + self.config.drain_latency) + 200
        streams = (*self.sources.values(), self.sink)
        moved = -1
        while moved != (moved := sum(len(stream.taken) for stream in streams)):
            try:
                await with_timeout(self.sink.receive(count), patience * CLOCK_NS, "ns")
                return
            except SimTimeoutError:
                pass
        raise AssertionError(
            f"no beat moved for {patience} cycles, {len(self.sink.beats)} of {count} came out"
        )
