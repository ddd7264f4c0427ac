"""Floating-point elements against NumPy's float32 in the same order, under both simulators."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.sim import Simulator

from mixpe.hw.array.edge import WeightDigits
from mixpe.hw.baselines.floating import DequantizeFirstFloatPE, FloatMacPE
from mixpe.hw.element.floating import FloatIntPE
from mixpe.hw.fp import accumulate
from mixpe.hw.fp.normal import normalized, recoded
from mixpe.sim.cocotb.runner import SIMULATORS
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.formats.inside import (
    POSITIONS,
    ScaledDigits,
    accumulator_format,
    float_code,
    normal_format,
    normalized_code,
    recoded_bits,
    recoded_code,
    word_code,
)
from mixpe.spec.formats.numbers import BF16, FP8_E4M3, FP8_E5M2, FP16, FP32, FloatFormat
from verif.benches.float_bank import play
from verif.reference.float_groups import (
    GROUP,
    KINDS,
    act_codes,
    encoded,
    float16_sums,
    float32_sums,
    normal_codes,
    packed,
    values,
)

# Of elements that refuse their configuration.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@dataclass
class Case:
    """An element, its operands and the groups' sums."""

    name: str
    make: Any
    words: dict[str, np.ndarray]
    expected: np.ndarray


def config(form: FloatFormat = FP16, **fields):
    return Config(group=GROUP, rows=1, cols=1, act_format=form.name, fp_scheme="fp_mac", **fields)


def _named(how):
    return "".join(f"_{value}" for value in how.values())


def groups_of(rng, form, count, lanes):
    """Codes [groups, cycles, lanes]: `count` groups of each kind."""
    shape = (count, GROUP // lanes, lanes)
    return np.concatenate([act_codes(rng, form, kind, shape) for kind in KINDS])


def int_case(rng, form, count, lanes=1, bits=4, **how):
    acts = groups_of(rng, form, count, lanes)
    weights = rng.integers(-1 << (bits - 1), 1 << (bits - 1), acts.shape)
    repeat = rng.random(len(acts)) < 0.5
    weights[repeat, 1::2] = weights[repeat, ::2]
    with np.errstate(all="ignore"):
        products = weights.astype(np.float32) * values(acts, form)
    name = f"int{bits}_{form.name}_{lanes}{_named(how)}"
    return Case(
        name,
        lambda modules: FloatIntPE(config(form, name=name, weight_bits=bits, lanes=lanes, **how), modules),
        {
            "acts": packed(normal_codes(acts, form), normal_format(form).bits),
            "weights": packed(encoded(weights, bits), ScaledDigits(bits).wires),
        },
        float32_sums(products),
    )


def float_case(rng, count, lanes=1, out=FP32, pipelined=False, **how):
    acts, weights = (groups_of(rng, FP16, count, lanes) for _ in range(2))
    rng.shuffle(weights[:-count])
    halves = [values(x, FP16) for x in (weights, acts)]
    with np.errstate(all="ignore"):
        expected = (
            float32_sums(halves[0] * halves[1]) if out is FP32 else float16_sums(*(x[..., 0] for x in halves))
        )
    normal = normal_format(FP16)
    digits = np.vectorize(lambda code: recoded_code(int(code), normal))(normal_codes(weights, FP16))
    words = {
        "acts": packed(normal_codes(acts, FP16), normal.bits),
        "weights": packed(digits, recoded_bits(normal)),
    }
    name = f"float_{out.name}_{lanes}_{int(pipelined)}{_named(how)}"
    return Case(
        name,
        lambda modules: FloatMacPE(
            config(name=name, lanes=lanes, **how), modules, out=out, pipelined=pipelined
        ),
        words,
        expected,
    )


def dequantize_case(rng, count, lanes=1, pipelined=False, **how):
    acts = groups_of(rng, FP16, count, lanes)
    scales = np.concatenate([act_codes(rng, FP16, kind, (count, 1, 1)) for kind in KINDS])
    scales = np.repeat(scales, acts.shape[1], axis=1)
    scales[::3] = act_codes(rng, FP16, "finite", scales[::3].shape)
    codes, zeros = rng.integers(0, 16, acts.shape), rng.integers(0, 16, scales.shape)
    with np.errstate(all="ignore"):
        steps = (codes - zeros).astype(np.float16)
        weights = scales.astype(np.uint16).view(np.float16) * steps
        products = weights.astype(np.float32) * values(acts, FP16)
        expected = float32_sums(products)
    assert weights.dtype == np.float16
    bits = normal_format(FP16).bits
    words = {
        "acts": packed(normal_codes(acts, FP16), bits),
        "weights": packed(codes, 4),
        "zeros": packed(zeros, 4),
        "scales": packed(normal_codes(scales, FP16), bits),
    }
    name = f"dequantize_{lanes}_{int(pipelined)}{_named(how)}"
    return Case(
        name,
        lambda modules: DequantizeFirstFloatPE(
            config(name=name, lanes=lanes, **how), modules, pipelined=pipelined
        ),
        words,
        expected,
    )


def check(cases, simulator, folder):
    """Plays cases of as many groups of equal length."""
    cycles = len(cases[0].words["acts"])
    ends = np.zeros(cycles, bool)
    ends[cycles // len(cases[0].expected) - 1 :: cycles // len(cases[0].expected)] = True
    found = play(
        lambda modules: [case.make(modules) for case in cases],
        [case.words for case in cases],
        ends,
        simulator,
        folder,
    )
    for case, sums in zip(cases, found.T, strict=True):
        np.testing.assert_array_equal(sums[ends], case.expected, err_msg=case.name)


IN_TESTS = (("icarus", 4), ("verilator", 1))
"""Simulators and lanes that run each time; nightly, every simulator meets all lanes."""


def cases_of(rng, lanes, count):
    cases = [int_case(rng, form, count, lanes) for form in (FP16, BF16, FP8_E4M3, FP8_E5M2)]
    cases += [int_case(rng, form, count, lanes, bits) for form in (FP16, BF16) for bits in (2, 3, 8)]
    cases += [float_case(rng, count, lanes), dequantize_case(rng, count, lanes)]
    cases.append(float_case(rng, count, lanes, pipelined=True))
    cases.append(dequantize_case(rng, count, lanes, pipelined=True))
    if lanes == 1:
        cases.append(float_case(rng, count, out=FP16))
        for how in ({"adder": "prefix"}, {"target": "fpga"}):
            cases += [int_case(rng, form, count, **how) for form in (FP16, BF16)]
            cases += [float_case(rng, count, out=out, **how) for out in (FP32, FP16)]
            cases.append(dequantize_case(rng, count, **how))
    return cases


@pytest.mark.parametrize(
    ("simulator", "lanes"),
    [
        pytest.param(simulator, lanes, marks=[] if (simulator, lanes) in IN_TESTS else pytest.mark.nightly)
        for simulator in SIMULATORS
        for lanes in (1, 2, 4)
    ],
)
def test_groups(simulator, lanes, tmp_path):
    check(
        cases_of(np.random.default_rng(lanes), lanes, max(1, 3 // lanes) if simulator == "icarus" else 20),
        simulator,
        tmp_path,
    )


# Icarus takes most of a minute.
@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.nightly)])
def test_every_product_of_fp16_and_int4(simulator, tmp_path):
    weights, acts = (grid.reshape(-1, 1, 1) for grid in np.mgrid[-8:8, :65536])
    with np.errstate(all="ignore"):
        products = weights.astype(np.float32) * values(acts, FP16)
    words = {"acts": normal_codes(acts, FP16).ravel(), "weights": encoded(weights, 4).ravel()}
    case = Case("pe", lambda modules: FloatIntPE(config(name="pe"), modules), words, float32_sums(products))
    assert len(case.expected) == 1 << 20
    check([case], simulator, tmp_path)


def settled(build, width, codes):
    """What the combinational `build(m, code)` makes of each code of `width` bits, by Amaranth's simulator."""
    m = Module()
    code = Signal(width)
    result = build(m, code)
    found = []

    async def bench(ctx):
        for value in codes:
            ctx.set(code, int(value))
            found.append(ctx.get(result))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("form", [FP16, BF16, FP8_E4M3, FP8_E5M2], ids=str)
def test_edge_makes_what_software_makes(form):
    codes = range(0, 1 << form.bits, 1 if form.bits == 8 else 61)
    normal = normal_format(form)
    expected = [normalized_code(code, form) for code in codes]
    found = settled(lambda m, code: normalized(m, code, form), form.bits, codes)
    top = -1 << (form.fraction_bits - 1)  # of a NaN's fraction
    for code, own, other in zip(codes, found, expected, strict=True):
        same = top if np.isnan(form.decode(code)) else -1
        assert own & same == other & same, hex(code)
    digits = settled(lambda _m, code: recoded(code, normal), normal.bits, expected)
    assert digits == [recoded_code(code, normal) for code in expected]


@pytest.mark.parametrize("bits", range(2, 9))
def test_weight_digits(bits):
    form = ScaledDigits(bits)
    codes = range(1 << bits)
    signed = [code - (code >> (bits - 1) << bits) for code in codes]

    def digits(m, code):
        m.submodules.digits = made = WeightDigits(config(weight_bits=bits))
        m.d.comb += made.i.eq(code)
        return made.o

    assert settled(digits, bits, codes) == list(map(form.encode, signed))
    assert len(set(map(form.encode, signed))) == len(codes)


@pytest.mark.parametrize("form", [FP16, BF16], ids=str)
def test_words_in_software(form):
    normal, rng = normal_format(form), np.random.default_rng(3)
    total = accumulator_format(normal.offset, normal.lowest, normal.highest + 3, GROUP)
    for value in np.ldexp(rng.integers(-255, 256, 500), rng.integers(normal.lowest, normal.highest - 8, 500)):
        magnitude, exponent = np.frexp(abs(value))
        code, position = divmod(int(exponent) - 1 + total.offset, POSITIONS)
        significand = int(magnitude * 2 ** (24 + position))
        word = significand | (code << total.significand_bits if significand else 0)
        word |= int(value < 0) << (total.bits - 1)
        code = int((np.float32(value) + np.float32(0)).view(np.uint32))
        assert float_code(word, total) == code
        assert word_code(code, total) == (word if code else 0)


@pytest.mark.parametrize("broken", ["sticky", "code"])
def test_broken_accumulation_fails(monkeypatch, broken, tmp_path):
    whole = accumulate._coarse

    def coarse(m, product):
        addend = whole(m, product)
        if broken == "code":
            return replace(addend, code=addend.code + 1)
        return replace(addend, significand=Cat(Const(0, 1), addend.significand[1:]))

    monkeypatch.setattr(accumulate, "_coarse", coarse)
    with pytest.raises(AssertionError, match="not equal"):
        check([int_case(np.random.default_rng(5), FP16, 1)], "icarus", tmp_path)


def test_fp16_sum_has_one_lane():
    with pytest.raises(UserError, match="lanes must be 1 for a sum in FP16, not 2"):
        FloatMacPE(config(lanes=2), out=FP16)
