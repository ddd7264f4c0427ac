"""cocotb bench of a whole array: streams in, streams out, against the golden model, bit for bit.

The environment variable MIXPE_CONFIG holds the configuration's fields as JSON.
"""

import dataclasses
import json
import os
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from mixpe.quant.codecs import codec
from mixpe.quant.golden import mpgemm
from mixpe.quant.operands import Operands
from mixpe.quant.packing.beats import Beats, pack_matmul, pack_outputs
from mixpe.quant.samples import random_operands
from mixpe.sim.cocotb.device import Device
from mixpe.sim.cocotb.seeds import bench_rng
from mixpe.sim.cocotb.streams import reset
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import IntFormat
from mixpe.spec.streams import inputs

CONFIG = Config(**json.loads(os.environ["MIXPE_CONFIG"]))


@dataclass
class Work:
    """Holds beats to send, tile after tile, and the beats that must come back."""

    beats: Beats = field(default_factory=Beats)
    results: list[int] = field(default_factory=list)

    def add(self, a, weights, t) -> None:
        more = pack_matmul(a, weights, t=t, config=CONFIG)
        for stream in inputs(CONFIG):
            self.beats.of(stream.name).extend(more.of(stream.name))
        padded = Operands(CONFIG, a, weights, t).padded()
        out = mpgemm(padded.a, padded.weights, t=padded.t, config=CONFIG)
        self.results.extend(pack_outputs(out, CONFIG))


def extreme_activations() -> list:
    """Returns the two values that make the largest sums."""
    form = CONFIG.act_code
    if isinstance(form, IntFormat):
        return [form.min, form.max]
    largest = form.decode(form.largest)
    return [-largest, largest]


def extreme_weights() -> list:
    """The codes of the least and of the greatest weight."""
    weight = CONFIG.matrix.weight
    codes = sorted(range(1 << weight.bits), key=weight.plain)
    return list(codec(weight.code).decode(np.array([codes[0], codes[-1]])))


def inner_dimensions() -> list[int]:
    """Returns values of K around group and lane boundaries, within reason for a simulation."""
    group, lanes = CONFIG.group, CONFIG.lanes
    candidates = {1, lanes, lanes + 1, group - 1, group, group + 1, 2 * group + lanes + 1, 3 * group}
    return sorted(k for k in candidates if 1 <= k <= 800 * lanes)


class Bench(Device):
    """Drives the device under test, with the golden model's results beside its own."""

    async def work(self, work: Work) -> int:
        """Sends `work`, checks the results; returns the cycles from the first to the last beat."""
        results, cycles = await self.transfer(work.beats, len(work.results))
        bits = CONFIG.out.bits
        for index, (want, have) in enumerate(zip(work.results, results, strict=True)):
            if want != have:
                column = ((want ^ have) & -(want ^ have)).bit_length() // bits
                mask = (1 << bits) - 1
                raise AssertionError(
                    f"output beat {index} (row {index % CONFIG.rows}), column {column}: "
                    f"{have >> column * bits & mask:x}, not {want >> column * bits & mask:x}"
                )
        self.check_all_sent()
        return cycles


@cocotb.test()
async def cycles_and_bits(dut):
    """Streams that are never late: one tile and several back to back, for every kind of K."""
    rng = bench_rng()
    bench = Bench(dut, CONFIG, rng)
    await bench.start()
    for k in inner_dimensions():
        for tiles in (1, 3):
            work = Work()
            work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols * tiles, CONFIG))
            cycles = await bench.work(work)
            assert cycles == CONFIG.run_cycles(k, tiles), (
                f"K = {k}, {tiles} tiles: {cycles} cycles, not {CONFIG.run_cycles(k, tiles)}"
            )


@cocotb.test()
async def extreme_operands(dut):
    """Codes at their ends; scales and activations that are zero, subnormal, huge, infinite, NaN."""
    rng = bench_rng()
    bench = Bench(dut, CONFIG, rng)
    await bench.start()
    for k in inner_dimensions():
        work = Work()
        for _ in range(2):
            work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols, CONFIG, extreme=True))
        a, weights, t = random_operands(rng, CONFIG.rows, k, CONFIG.cols, CONFIG)
        for act in extreme_activations():
            for code in extreme_weights():
                same = dataclasses.replace(weights, codes=np.full_like(weights.codes, code))
                work.add(np.full_like(a, act), same, t)
        await bench.work(work)


@cocotb.test()
async def random_waits(dut):
    """Any pattern of valid and ready, tiles of mixed K, products that do not fill their tiles."""
    rng = bench_rng()
    bench = Bench(dut, CONFIG, rng)
    await bench.start()
    for _ in range(3):
        for stream in (*bench.sources.values(), bench.sink):
            stream.wait = float(rng.choice([0.0, 0.1, 0.5, 0.9]))
        work = Work()
        for _ in range(2):
            k = int(rng.choice(inner_dimensions()))
            m, n = rng.integers(1, 2 * CONFIG.rows + 1), rng.integers(1, 2 * CONFIG.cols + 1)
            work.add(*random_operands(rng, m, k, n, CONFIG))
        await bench.work(work)


@cocotb.test()
async def reset_drops_work(dut):
    """A reset in the middle of a tile leaves nothing behind."""
    rng = bench_rng()
    bench = Bench(dut, CONFIG, rng)
    await bench.start()
    k = inner_dimensions()[-1]
    work = Work()
    work.add(*random_operands(rng, CONFIG.rows, k, 2 * CONFIG.cols, CONFIG))
    bench.send(work.beats)
    for _ in range(int(rng.integers(1, CONFIG.run_cycles(k, 2) - CONFIG.rows))):
        await RisingEdge(dut.clk)
    bench.stop()
    await reset(dut)
    for k in inner_dimensions():
        work = Work()
        work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols, CONFIG))
        await bench.work(work)
