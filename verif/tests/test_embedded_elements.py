"""Elements that a user of Amaranth embeds: plain codes in, plain sums out, in Amaranth's own simulator."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from mixpe.hw.array.pe import PE
from mixpe.quant.golden import mpgemm
from mixpe.quant.operands import float_dtype
from mixpe.spec.array import DATAPATHS, Config
from mixpe.spec.formats.numbers import IntFormat
from verif.harness.embedded import run
from verif.samples.products import matrix


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
