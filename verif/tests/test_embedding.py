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
from amaranth.sim import Simulator

from mixpe.hw.array.pe import PE
from mixpe.hw.array.top import Top
from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.operands import float_dtype
from mixpe.spec.array import DATAPATHS, Config
from mixpe.spec.formats.numbers import IntFormat
from verif.samples.products import matrix

PERIOD = 1e-6
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


def run(component, *testbenches, cycles: int) -> None:
    """Runs `testbenches` together; fails if they take more than `cycles`."""
    simulator = Simulator(component)
    simulator.add_clock(PERIOD)
    for testbench in testbenches:
        simulator.add_testbench(testbench)

    async def watch(ctx):
        await ctx.delay(cycles * PERIOD)
        raise AssertionError(f"not done after {cycles} cycles")

    simulator.add_testbench(watch, background=True)
    simulator.run()


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


class Pair(wiring.Component):
    """A design of the user's with two elements in a chain: the second sees operands a cycle later."""

    def __init__(self, config: Config):
        self.elements = [PE(config), PE(config)]
        signature = self.elements[0].signature
        super().__init__(
            {
                **{name: signature.members[name] for name in ("acts", "weights", "group_end")},
                "sum0": signature.members["sum"],
                "sum1": signature.members["sum"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pe0, m.submodules.pe1 = one, two = self.elements
        m.d.comb += [
            one.acts.eq(self.acts),
            one.weights.eq(self.weights),
            one.group_end.eq(self.group_end),
            two.acts.eq(one.acts_out),
            two.weights.eq(one.weights_out),
            two.group_end.eq(one.group_end_out),
            self.sum0.eq(one.sum),
            self.sum1.eq(two.sum),
        ]
        return m


def lanes_code(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << bits * lane for lane, value in enumerate(values))


ELEMENTS = [
    *(Config(group=6, datapath=datapath) for datapath in DATAPATHS),
    *(Config(group=8, lanes=4, weight_bits=3, act_bits=5, datapath=datapath) for datapath in DATAPATHS),
    *(Config(group=5, weight_bits=8, act_bits=16, lanes=2, datapath=datapath) for datapath in DATAPATHS),
    *(Config(group=6, weight_signed=False, lanes=2, datapath=datapath) for datapath in DATAPATHS),
    *(Config(group=6, weight_format="fp4_e2m1", lanes=2, datapath=datapath) for datapath in DATAPATHS),
    *(
        Config(group=6, act_format="fp16", align_bits=11, lanes=2, datapath=datapath)
        for datapath in DATAPATHS
    ),
    Config(group=6, act_format="fp8_e4m3", datapath="carry_save", weight_signed=False, zero_point=True),
    Config(group=1, weight_bits=2, act_bits=4, datapath="booth", target="fpga"),
    Config(group=7, weight_bits=5, datapath="booth", adder="prefix"),
]
"""Elements of integers: every datapath for signed, unsigned and floating-point codes, and aligned ones."""

FLOAT_ELEMENTS = [
    Config(group=5, act_format=act_format, fp_scheme="fp_mac", rows=1, cols=1, **fields)
    for act_format in ("fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
    for fields in ({"lanes": 2}, {"weight_bits": 8}, {"weight_format": "fp4_e2m1"})
]


def played(config: Config, groups: list[list[tuple[list[int], list[int]]]]) -> tuple[list[int], list[int]]:
    """Plays groups of beats (weight codes, activation codes) to two elements in a chain.

    Returns, of both, what they show in the cycle of each beat's sum.
    """
    component = Pair(config)
    beats = [(*beat, beat is group[-1]) for group in groups for beat in group]
    seen: tuple[list[int], list[int]] = ([], [])
    act_bits = len(component.acts) // config.lanes

    async def testbench(ctx):
        zero = [0] * config.lanes
        for cycle in range(len(beats) + 3):
            w, a, _ = beats[cycle] if cycle < len(beats) else (zero, zero, False)
            ctx.set(component.weights, lanes_code(w, config.weight_bits))
            ctx.set(component.acts, lanes_code(a, act_bits))
            # One cycle behind the operands; before the first ones, a group of nothing ends.
            ctx.set(component.group_end, cycle == 0 or (cycle <= len(beats) and beats[cycle - 1][2]))
            for place, values in enumerate(seen):
                values.append(ctx.get((component.sum0, component.sum1)[place]))
            await ctx.tick()

    run(component, testbench, cycles=1000)
    return seen[0][2 : 2 + len(beats)], seen[1][3:]


def random_groups(config: Config, draw_act, seed: int) -> list[list[tuple[list[int], list[int]]]]:
    """Groups of every length, the longest with operands at their limits."""
    rng = random.Random(seed)
    codes = range(1 << config.weight_bits)
    return [
        [
            ([rng.choice(codes) for _ in range(config.lanes)], [draw_act(rng) for _ in range(config.lanes)])
            for _ in range(rng.randint(1, max(1, config.group // config.lanes)))
        ]
        for _ in range(12)
    ]


@pytest.mark.parametrize("config", ELEMENTS, ids=lambda config: config.name)
def test_elements(config):
    """The exact sum of plain codes in its own cycle, zero in all others; two elements in a chain."""
    low, high = config.act_limits
    weight = config.matrix.weight
    groups = random_groups(config, lambda rng: rng.choice((low, high, rng.randint(low, high))), 2)
    beats = config.group // config.lanes
    half = 1 << (config.weight_bits - 1)
    for code in (0, half - 1, half, 2 * half - 1):  # the greatest sums
        for act in (low, high):
            groups.append([([code] * config.lanes, [act] * config.lanes)] * beats if beats else [])
    groups = [[(list(w), list(a)) for w, a in group] for group in groups if group]
    expected = []
    for group in groups:
        total = sum(
            weight.plain(code) * act for codes, acts in group for code, act in zip(codes, acts, strict=True)
        )
        expected += [0] * (len(group) - 1) + [total]
    for found in played(config, groups):
        assert found == expected


@pytest.mark.parametrize("config", FLOAT_ELEMENTS, ids=lambda config: config.name)
def test_float_elements(config):
    """FP32 sums with the bits of the golden model, of codes of every kind."""
    form, width = config.act_float, 1 << config.act_bits
    plain = [code for code in range(width) if np.isfinite(form.decode(code))]
    few = random.Random(3).sample(plain, min(len(plain), 100))
    some = [*few, 0, width >> 1, 1, form.nan, *form.specials]
    groups = random_groups(config, lambda rng: rng.choice(some if rng.random() < 0.1 else few), 4)
    expected = []
    for group in groups:
        codes = np.array([code for weights, _ in group for code in weights])
        acts = np.array([code for _, each in group for code in each], f"u{config.act_bits // 8}")
        code = config.weight_code
        if isinstance(code, IntFormat):
            q = codes - ((codes >> (config.weight_bits - 1)) << config.weight_bits)
        else:
            q = codes.astype(np.uint8).view(float_dtype(code))
        weights = matrix(config, q[:, None], np.ones((1, 1), np.float16))
        product = mpgemm(acts.view(float_dtype(config.act_float))[None], weights, config=config)
        scaled = np.ldexp(product.astype(np.float32), -config.matrix.weight.exponent).astype(np.float32)
        bits = int((scaled if np.isfinite(product).all() else product).view(np.uint32)[0, 0])
        expected += [0] * (len(group) - 1) + [bits]
    for found in played(config, groups):
        assert found == expected


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
