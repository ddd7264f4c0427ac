"""cocotb bench of an array with AXI4-Stream ports, against the golden model, bit for bit.

cocotbext-axi drives and collects; the environment variable MIXPE_CONFIG holds the array's fields as JSON.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from mixpe.quant.packing.beats import Beats
from mixpe.quant.samples import random_operands
from mixpe.sim.cocotb.seeds import bench_rng
from mixpe.sim.cocotb.streams import CLOCK_NS, cycle, reset, start_clock
from mixpe.spec.formats.numbers import FP32

from .matmul import CONFIG, Work, inner_dimensions

BUFFERING = 1
"""Cycles that a receiver's buffer adds to `Config.run_cycles`."""

_BITS = {
    "acts": CONFIG.rows * CONFIG.lanes * CONFIG.act_bits,
    "weights": CONFIG.cols * CONFIG.lanes * CONFIG.weight_bits,
    "scales": CONFIG.cols * (CONFIG.scale.bits + CONFIG.zero_point * CONFIG.weight_bits),
    **({"tokens": FP32.bits} if CONFIG.token_scale else {}),
    "out": CONFIG.cols * CONFIG.out.bits,
}
"""Gives the width of a beat, less its `last`."""


class Watch:
    """Notes the cycles in which beats move on a stream. What is offered must stay until it is taken."""

    def __init__(self, dut, bus: AxiStreamBus):
        self.dut, self.bus = dut, bus
        self.moved: list[int] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        offered = None
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value:
                offered = None
                continue
            valid, ready = int(self.bus.tvalid.value), int(self.bus.tready.value)
            beat = (int(self.bus.tdata.value), _last(self.bus)) if valid else None
            if offered is not None and beat != offered:
                raise AssertionError(
                    f"beat {len(self.moved)} of {self.bus._name} changed before it was taken"
                )
            offered = None if ready else beat
            if valid and ready:
                self.moved.append(cycle())


def _last(bus: AxiStreamBus) -> int:
    return int(bus.tlast.value) if hasattr(bus, "tlast") else 0


class Bench:
    """The device under test between cocotbext-axi's sources and sink; `rng` draws pauses and padding."""

    def __init__(self, dut, rng: np.random.Generator):
        self.dut, self.rng = dut, rng
        start_clock(dut)
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.clk, dut.rst)
            for name in _BITS
            if name != "out"
        }
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_out"), dut.clk, dut.rst)
        for end in (*self.sources.values(), self.sink):
            end.log.setLevel(logging.ERROR)  # every frame else, and all that a reset drops
        self.acts = Watch(dut, self.sources["acts"].bus)
        self.out = Watch(dut, self.sink.bus)

    def pause(self, chances: Sequence[float]) -> None:
        """Lets every stream pause in a cycle with its chance."""
        for end, chance in zip((*self.sources.values(), self.sink), chances, strict=True):
            end.set_pause_generator(self._pauses(chance) if chance else None)
            end.pause = False

    def _pauses(self, chance: float) -> Iterator[bool]:
        while True:
            yield bool(self.rng.random() < chance)

    def send(self, beats: Beats) -> None:
        """Queues `beats`, with noise in the bits above them; a tile's acts are a frame."""
        for name, source in self.sources.items():
            for frame in self._frames(name, getattr(beats, name), noise=True):
                source.send_nowait(frame)

    def drop(self) -> None:
        """Drops what is queued at either end."""
        for end in (*self.sources.values(), self.sink):
            end.clear()

    def _frames(self, name: str, beats: Sequence[int], *, noise: bool) -> list[bytes]:
        """TDATA of the beats, cut behind those with `last`."""
        bits, size = _BITS[name], -(-_BITS[name] // 8)
        frames, frame = [], bytearray()
        for beat in beats:
            above = int(self.rng.integers(1 << (8 * size - bits))) if noise else 0
            frame += (beat & ((1 << bits) - 1) | above << bits).to_bytes(size, "little")
            if beat >> bits:
                frames.append(bytes(frame))
                frame = bytearray()
        return [*frames, bytes(frame)] if frame else frames

    async def work(self, work: Work) -> int:
        """Sends `work`, checks the results; returns the cycles from acts' first beat to the last result."""
        begun = len(self.acts.moved)
        self.send(work.beats)
        patience = 40 * (CONFIG.tile_gap + CONFIG.drain_latency + len(work.beats.weights)) + 400
        for index, want in enumerate(self._frames("out", work.results, noise=False)):
            have = bytes((await with_timeout(self.sink.recv(), patience * CLOCK_NS, "ns")).tdata)
            size = len(want) // CONFIG.rows
            assert len(have) == len(want), f"tile {index}: TLAST after {len(have) // size} rows"
            wrong = [
                row for row in range(CONFIG.rows) if have[row * size :][:size] != want[row * size :][:size]
            ]
            assert not wrong, f"tile {index}: rows {wrong} differ"
        idle = [name for name, source in self.sources.items() if not source.idle()]
        assert not idle, f"all results came out, but not all beats of {', '.join(idle)} went in"
        return self.out.moved[-1] - self.acts.moved[begun] + 1


@cocotb.test()
async def cycles_and_bits(dut):
    """Streams that are never late: buffers cost latency, and no throughput."""
    rng = bench_rng()
    bench = Bench(dut, rng)
    await reset(dut)
    for _ in range(CONFIG.group_gap):  # in which the array takes no beat
        await RisingEdge(dut.clk)
    for k, tiles in itertools.product(inner_dimensions(), (1, 3)):
        work = Work()
        work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols * tiles, CONFIG))
        cycles = await bench.work(work)
        expected = CONFIG.run_cycles(k, tiles) + BUFFERING
        assert cycles == expected, f"K = {k}, {tiles} tiles: {cycles} cycles, not {expected}"


@cocotb.test()
async def random_pauses(dut):
    """Any pattern of TVALID and TREADY, tiles of mixed K, products that do not fill their tiles."""
    rng = bench_rng()
    bench = Bench(dut, rng)
    await reset(dut)
    for _ in range(4):
        bench.pause(rng.choice([0.0, 0.1, 0.5, 0.8], len(_BITS)))
        work = Work()
        for _ in range(2):
            k = int(rng.choice(inner_dimensions()))
            m, n = rng.integers(1, 2 * CONFIG.rows + 1), rng.integers(1, 2 * CONFIG.cols + 1)
            work.add(*random_operands(rng, m, k, n, CONFIG, extreme=bool(rng.integers(2))))
        await bench.work(work)


@cocotb.test()
async def reset_drops_work(dut):
    """A reset in the middle of a tile leaves nothing behind, neither in the array nor in the buffers."""
    rng = bench_rng()
    bench = Bench(dut, rng)
    await reset(dut)
    for _ in range(3):
        k = inner_dimensions()[-1]
        work = Work()
        work.add(*random_operands(rng, CONFIG.rows, k, 2 * CONFIG.cols, CONFIG))
        bench.pause(rng.choice([0.0, 0.5], len(_BITS)))
        bench.send(work.beats)
        for _ in range(int(rng.integers(1, CONFIG.run_cycles(k, 2)))):
            await RisingEdge(dut.clk)
        bench.drop()
        await reset(dut)
        bench.drop()
        for k in inner_dimensions():
            work = Work()
            work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols, CONFIG))
            await bench.work(work)
