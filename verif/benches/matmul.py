"""cocotb bench of a whole array: streams in, streams out, against the golden model, bit for bit.

The environment variable MIXPE_CONFIG holds the configuration's fields as JSON.
"""

import json
import os
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.config import Config
from ...hw.formats import IntFormat
from ...quant.golden import mpgemm
from ...quant.operands import float_dtype, group_count
from ...quant.packing import Beats, pack_matmul, pack_outputs, pad_operands
from . import bench_rng
from .device import Device
from .streams import reset

CONFIG = Config(**json.loads(os.environ["MIXPE_CONFIG"]))

_CORNER_SCALES = (0.0, -0.0, 1.0, -1.0, 6e-8, -6e-8, 6.1e-5, 65504.0, -65504.0, np.inf, -np.inf, np.nan)
_CORNER_TOKENS = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.2e-38, 3e38, -3e38, 1e-4, np.inf, np.nan)


@dataclass
class Work:
    """Beats to send, tile after tile, and the beats that must come back."""

    beats: Beats = field(default_factory=Beats)
    results: list[int] = field(default_factory=list)

    def add(self, a, q, s, z, t) -> None:
        more = pack_matmul(a, q, s, z, t, CONFIG)
        for name in ("acts", "weights", "scales", "tokens"):
            getattr(self.beats, name).extend(getattr(more, name))
        a, q, s, z, t = pad_operands(a, q, s, z, t, CONFIG)
        self.results.extend(pack_outputs(mpgemm(a, q, s, z, t=t, config=CONFIG), CONFIG))


def integers(rng, fmt, shape, extreme=False):
    """Codes of `fmt`: uniform, or only its extremes and their neighbours."""
    if extreme:
        return rng.choice([fmt.min, fmt.min + 1, -1 if fmt.signed else 1, 0, fmt.max], shape)
    return rng.integers(fmt.min, fmt.max, shape, endpoint=True)


def activations(rng, shape, extreme=False):
    """Activations of the configuration: uniform or Gaussian, or only corner cases."""
    form = CONFIG.act_code
    if isinstance(form, IntFormat):
        return integers(rng, form, shape, extreme)
    if not extreme:
        spread = 2.0 ** rng.integers(-4, 5, (shape[0], 1))
        return (rng.standard_normal(shape) * spread).astype(float_dtype(form))
    # One row in two is finite; specials are rare enough for single ones.
    corners = [
        0,
        1,
        2,
        1 << form.fraction_bits,
        (1 << form.fraction_bits) - 1,
        form.largest,
        form.largest - 1,
    ]
    specials = [form.nan] + ([form.infinity] if form.infinities else [])
    codes = np.where(
        rng.random(shape) < 0.5,
        rng.choice(corners, shape),
        rng.integers(0, form.largest, shape, endpoint=True),
    )
    rare = (rng.random(shape) < 2 / shape[1]) & (rng.random((shape[0], 1)) < 0.5)
    codes = np.where(rare, rng.choice(specials, shape), codes)
    codes = codes | rng.integers(0, 2, shape) << (form.bits - 1)
    return codes.astype(f"u{form.bits // 8}").view(float_dtype(form))


def random_operands(rng, m, k, n, *, extreme=False):
    groups = group_count(k, CONFIG)
    a = activations(rng, (m, k), extreme)
    q = integers(rng, CONFIG.weight_code, (k, n), extreme)
    z = t = None
    if extreme:
        s = rng.choice(np.array(_CORNER_SCALES, np.float16), (groups, n))
    else:
        s = (rng.uniform(-1, 1, (groups, n)) * 2.0 ** rng.integers(-14, 4)).astype(np.float16)
    if CONFIG.zero_point:
        z = integers(rng, CONFIG.weight_code, (groups, n), extreme)
    if CONFIG.token_scale:
        t = rng.choice(_CORNER_TOKENS, m) if extreme else rng.uniform(-1e-2, 1e-2, m)
        t = t.astype(np.float32)
    return a, q, s, z, t


def extreme_activations() -> list:
    """The two values that make the largest sums."""
    form = CONFIG.act_code
    if isinstance(form, IntFormat):
        return [form.min, form.max]
    largest = form.decode(form.largest)
    return [-largest, largest]


def inner_dimensions() -> list[int]:
    """Values of K around group and lane boundaries, within reason for a simulation."""
    group, lanes = CONFIG.group, CONFIG.lanes
    candidates = {1, lanes, lanes + 1, group - 1, group, group + 1, 2 * group + lanes + 1, 3 * group}
    return sorted(k for k in candidates if 1 <= k <= 800 * lanes)


class Bench(Device):
    """The device under test, with the golden model's results beside its own."""

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
            work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols * tiles))
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
            work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols, extreme=True))
        a, q, s, z, t = random_operands(rng, CONFIG.rows, k, CONFIG.cols)
        for act in extreme_activations():
            for code in (CONFIG.weight_code.min, CONFIG.weight_code.max):
                work.add(np.full_like(a, act), np.full_like(q, code), s, z, t)
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
            work.add(*random_operands(rng, m, k, n))
        await bench.work(work)


@cocotb.test()
async def reset_drops_work(dut):
    """A reset in the middle of a tile leaves nothing behind."""
    rng = bench_rng()
    bench = Bench(dut, CONFIG, rng)
    await bench.start()
    k = inner_dimensions()[-1]
    work = Work()
    work.add(*random_operands(rng, CONFIG.rows, k, 2 * CONFIG.cols))
    bench.send(work.beats)
    for _ in range(int(rng.integers(1, CONFIG.run_cycles(k, 2) - CONFIG.rows))):
        await RisingEdge(dut.clk)
    bench.stop()
    await reset(dut)
    for k in inner_dimensions():
        work = Work()
        work.add(*random_operands(rng, CONFIG.rows, k, CONFIG.cols))
        await bench.work(work)
