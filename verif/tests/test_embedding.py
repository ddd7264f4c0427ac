"""Components elaborated inline, as a user of Amaranth embeds them, in Amaranth's own simulator."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from mixpe.hw.array.top import Top
from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.operands import float_dtype
from mixpe.spec.array import DATAPATHS, Config
from mixpe.spec.formats.numbers import IntFormat
from verif.harness.embedded import run
from verif.samples.products import matrix

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/embed.py"

CONFIGS = {
    "signed": Config(rows=2, cols=3, group=4),
    "zero points": Config(rows=2, cols=3, group=4, zero_point=True),
    "everything": Config(
        rows=3,
        cols=2,
        group=6,
        lanes=2,
        weight_signed=False,
        zero_point=True,
        token_scale=True,
        out_format="fp16",
        datapath="multiplier",
    ),
    "aligned": Config(rows=2, cols=2, group=5, act_format="fp16", align_bits=11, zero_point=True),
    "fp_mac": Config(rows=2, cols=1, group=4, act_format="fp8_e5m2", fp_scheme="fp_mac", lanes=2),
}


class Accelerator(wiring.Component):
    """A design of the user's: it passes on all streams of an array, and counts what leaves."""

    def __init__(self, config: Config):
        self.top = Top(config)
        super().__init__({**self.top.signature.members, "rows_done": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = self.top
        for name in top.signature.members:
            ours, theirs = getattr(self, name), getattr(top, name)
            if name == "out":
                wiring.connect(m, theirs, wiring.flipped(ours))
            else:
                wiring.connect(m, wiring.flipped(ours), theirs)
        m.d.sync += self.rows_done.eq(self.rows_done + (self.out.valid & self.out.ready))
        return m


def source(port, beats, rng: random.Random, wait: float):
    """A testbench that offers `beats`, each after a pause of chance `wait` a cycle."""

    async def offer(ctx):
        for beat in beats:
            while rng.random() < wait:
                await ctx.tick()
            ctx.set(port.payload, beat)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    return offer


def sink(port, count: int, taken: list, rng: random.Random, wait: float):
    """A testbench that takes `count` beats."""

    async def take(ctx):
        while len(taken) < count:
            ready = rng.random() >= wait
            ctx.set(port.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
            if ready and valid:
                taken.append(payload)
        ctx.set(port.ready, 0)

    return take


def beats_of(
    config: Config, a: np.ndarray, weights: QuantizedMatrix
) -> tuple[list[dict], list[dict], list[dict]]:
    """Returns beats by the names and indices of the payloads' layouts."""
    acts, codes, scales = [], [], []
    k, q, s, z = a.shape[1], weights.codes, weights.groups["s"], weights.zeros
    if not isinstance(config.act_code, IntFormat):
        a = a.view(f"u{config.act_bits // 8}")
    for group, start in enumerate(range(0, k, config.group)):
        end = min(start + config.group, k)
        for first in range(start, end, config.lanes):
            inner = [index if index < end else None for index in range(first, first + config.lanes)]
            acts.append(
                {
                    "a": [[0 if i is None else int(row[i]) for i in inner] for row in a],
                    "last": end == k and first + config.lanes >= end,
                }
            )
            codes.append({"q": [[0 if i is None else int(column[i]) for i in inner] for column in q.T]})
        scales.append({"s": [int(code) for code in s.view(np.uint16)[group]]})
        if z is not None:
            scales[-1]["z"] = [int(zero) for zero in z[group]]
    return acts, codes, scales


def operands(config: Config, k: int, seed: int) -> tuple[np.ndarray, QuantizedMatrix, np.ndarray | None]:
    """Returns a, weights and t that give finite results."""
    rng = np.random.default_rng(seed)
    code, groups = config.weight_code, -(-k // config.group)
    form = config.act_code
    if isinstance(form, IntFormat):
        a = rng.integers(form.min, form.max, (config.rows, k), endpoint=True)
    else:
        a = rng.standard_normal((config.rows, k)).astype(float_dtype(form))
    q = rng.integers(code.min, code.max, (k, config.cols), endpoint=True)
    s = rng.uniform(-1, 1, (groups, config.cols)).astype(np.float16)
    z = rng.integers(code.min, code.max, s.shape, endpoint=True) if config.zero_point else None
    t = rng.uniform(-1, 1, config.rows).astype(np.float32) if config.token_scale else None
    return a, matrix(config, q, s, z), t


@pytest.mark.parametrize("wait", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_array(config, wait):
    """Two tiles of different K, with short last groups."""
    component, rng = Accelerator(config), random.Random(1)
    acts, weights, scales, tokens, expected = [], [], [], [], []
    for seed, k in enumerate((2 * config.group + 1, config.group - 1)):
        a, w, t = operands(config, k, seed)
        for stream_beats, more in zip((acts, weights, scales), beats_of(config, a, w), strict=True):
            stream_beats += more
        tokens += [] if t is None else [{"t": int(code)} for code in t.view(np.uint32)]
        expected.append(mpgemm(a, w, t=t, config=config))
    taken = []
    ports = {"acts": acts, "weights": weights, "scales": scales}
    ports |= {"tokens": tokens} if config.token_scale else {}
    benches = [source(getattr(component, name), beats, rng, wait) for name, beats in ports.items()]
    counted = []

    async def count(ctx):
        await ctx.tick().until(component.rows_done == 2 * config.rows)
        counted.append(True)

    run(component, *benches, sink(component.out, 2 * config.rows, taken, rng, wait), count, cycles=5000)
    bits = [[int(beat.y[col]) for col in range(config.cols)] for beat in taken]
    result = np.array(bits, f"u{config.out.bits // 8}").view(float_dtype(config.out))
    unsigned = f"u{config.out.bits // 8}"
    assert (result.view(unsigned) == np.concatenate(expected).view(unsigned)).all()
    assert np.isfinite(result.astype(np.float32)).all()
    assert [int(beat.last) for beat in taken] == [
        row == config.rows - 1 for _ in expected for row in range(config.rows)
    ]
    assert counted


@pytest.mark.parametrize("arguments", [[], ["booth"]], ids=str)
def test_example_runs(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "engine.v").write_text(done.stdout)
    for top in ("dot_product", "engine"):
        command = ["iverilog", "-g2005", "-t", "null", "-s", top, "engine.v"]
        compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (compiled.returncode, compiled.stderr) == (0, "")


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_dot_product_of_the_example(datapath):
    """The same sums whatever the datapath."""
    example = runpy.run_path(str(EXAMPLE))
    config = replace(example["CONFIG"], name="", datapath=datapath)
    component = example["DotProduct"](config)
    rng = random.Random(3)
    vectors = [
        [(rng.randint(-8, 7), rng.randint(-128, 127)) for _ in range(rng.randint(1, config.group))]
        for _ in range(20)
    ]
    results = []

    async def feed(ctx):
        for vector in vectors:
            for index, (weight, act) in enumerate(vector):
                while rng.random() < 0.3:  # what is not enabled must not count
                    ctx.set(component.en, 0)
                    ctx.set(component.last, rng.random() < 0.5)
                    await ctx.tick()
                ctx.set(component.en, 1)
                ctx.set(component.weight, weight & 15)
                ctx.set(component.act, act & 255)
                ctx.set(component.last, index == len(vector) - 1)
                await ctx.tick()
        ctx.set(component.en, 0)

    async def collect(ctx):
        while len(results) < len(vectors):
            (result,) = await ctx.tick().sample(component.result).until(component.done)
            results.append(result)

    run(component, feed, collect, cycles=1000)
    assert results == [sum(w * a for w, a in vector) for vector in vectors]


def test_engine_of_the_example():
    example = runpy.run_path(str(EXAMPLE))
    config, component = example["CONFIG"], example["Engine"]()
    rng = random.Random(4)
    a, w, _ = operands(config, 9, 4)
    taken = []
    beats = beats_of(config, a, w)
    ports = (component.acts, component.weights, component.scales)
    benches = [source(port, more, rng, 0.0) for port, more in zip(ports, beats, strict=True)]
    run(component, *benches, sink(component.out, config.rows, taken, rng, 0.0), cycles=1000)
    product = mpgemm(a, w, config=config)
    assert (product < 0).any()
    assert (product > 0).any()
    result = np.array([[int(beat.y[col]) for col in range(config.cols)] for beat in taken], np.uint32)
    assert (result == np.where(product < 0, np.float32(0), product).view(np.uint32)).all()
