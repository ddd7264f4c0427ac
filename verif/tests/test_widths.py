"""The configuration's widths and formats against independent models."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest

from mixpe.spec.array import Config
from mixpe.spec.fields import exact_align_bits
from mixpe.spec.formats.numbers import ACT_FORMATS, signed_bits


def narrowest(values: list[int]) -> int:
    """The narrowest two's complement that holds `values`, by trial."""
    return next(
        bits for bits in range(1, 64) if all(-(1 << bits - 1) <= value < 1 << bits - 1 for value in values)
    )


@pytest.mark.parametrize(
    ("weight_bits", "act_bits", "group", "bits"), [(4, 8, 128, 19), (4, 8, 64, 18), (8, 8, 128, 23)]
)
def test_sum_bits_of_the_design(weight_bits, act_bits, group, bits):
    assert Config(weight_bits=weight_bits, act_bits=act_bits, group=group).sum_bits == bits


def codes(bits: int, signed: bool) -> range:
    return range(-(1 << bits - 1), 1 << bits - 1) if signed else range(1 << bits)


@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("weight_signed", [False, True])
def test_widths_by_extremes(weight_signed, zero_point):
    """The sums are linear in each operand, so that a group of equal extreme operands is the worst."""
    for weight_bits, act_bits in itertools.product(range(2, 9), range(4, 17)):
        weights, acts = codes(weight_bits, weight_signed), codes(act_bits, True)
        inner = codes(weight_bits, True)
        zeros = (weights[0], weights[-1]) if zero_point else (0,)
        for group in (1, 2, 3, 7, 64, 100, 128, 4096, 16383, 16384):
            config = Config(
                weight_bits=weight_bits,
                act_bits=act_bits,
                group=group,
                weight_signed=weight_signed,
                zero_point=zero_point,
            )
            ends = (acts[0], acts[-1])
            sums = [group * w * a for w in (inner[0], inner[-1]) for a in ends]
            assert config.sum_bits == narrowest(sums)
            assert config.row_sum_bits == narrowest([group * a for a in ends])
            corrected = [group * (w - z) * a for w in (weights[0], weights[-1]) for z in zeros for a in ends]
            assert config.corrected_bits == narrowest(corrected)


def numbers(act_format: str) -> list[Fraction]:
    """The numbers of a format from 0 up."""
    form = ACT_FORMATS[act_format]
    values = (form.decode(code) for code in range(1 << (form.bits - 1)))
    return [Fraction(value) for value in values if math.isfinite(value)]


@pytest.mark.parametrize(
    ("act_format", "bits"),
    [("fp16", 41), ("fp8_e4m3", 19), ("fp8_e5m2", 33), ("fp6_e3m2", 10), ("bf16", 262)],
)
def test_exact_align_bits(act_format, bits):
    """Every number is an integer of that width beside the largest, and of no width less."""
    values = numbers(act_format)
    power = math.frexp(float(values[-1]))[1] - 1

    def exact(bits: int) -> bool:
        scaled = [value / Fraction(2) ** (power - (bits - 2)) for value in values]
        return all(x.denominator == 1 and x < 2 ** (bits - 1) for x in scaled)

    assert exact(bits)
    assert not exact(bits - 1)
    assert exact_align_bits(ACT_FORMATS[act_format]) == bits
    if act_format != "bf16":
        assert Config(act_format=act_format).align_bits == bits


def widths_up_to_exact(act_format: str) -> list[int]:
    """Returns some values of align_bits."""
    return [bits for bits in (8, 9, 13, 19) if act_format != "fp6_e3m2" or bits <= 10]


@pytest.mark.parametrize("act_format", ACT_FORMATS)
@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("weight_signed", [False, True])
def test_aligned_widths_by_extremes(act_format, weight_signed, zero_point):
    """As of integers, but aligned ones are symmetric."""
    for weight_bits, align_bits, group in itertools.product(
        (2, 4, 7, 8), widths_up_to_exact(act_format), (1, 2, 7, 128, 16383, 16384)
    ):
        config = Config(
            act_format=act_format,
            align_bits=align_bits,
            weight_bits=weight_bits,
            group=group,
            weight_signed=weight_signed,
            zero_point=zero_point,
        )
        most = 2 ** (align_bits - 1) - 1
        ends = (-most, most)
        assert config.act_limits == ends
        weights, inner = codes(weight_bits, weight_signed), codes(weight_bits, True)
        zeros = (weights[0], weights[-1]) if zero_point else (0,)
        assert config.sum_bits == narrowest([group * w * a for w in inner for a in ends])
        assert config.row_sum_bits == narrowest([group * a for a in ends])
        corrected = [group * (w - z) * a for w in (weights[0], weights[-1]) for z in zeros for a in ends]
        assert config.corrected_bits == narrowest(corrected)


def test_widest_aligned_sums():
    """2**40 - 1, times 128, times 2**14: below 2**61, not below 2**60."""
    config = Config(act_format="fp16", weight_bits=8, group=16384)
    assert config.sum_bits == 62
    assert replace(config, name="", zero_point=True).corrected_bits == 63


@pytest.mark.parametrize(
    ("act_format", "exponent_bits", "nans", "infinities"),
    [
        ("fp16", 5, True, True),
        ("bf16", 8, True, True),
        ("fp8_e4m3", 4, True, False),
        ("fp8_e5m2", 5, True, True),
        ("fp6_e3m2", 3, False, False),
    ],
)
def test_aligned_wires(act_format, exponent_bits, nans, infinities):
    """A group's code: exponent, of a format with NaN that, and of a format with infinities both; a wire a row
    tells of those."""
    for align_bits, lanes in itertools.product(widths_up_to_exact(act_format), (1, 2, 4, 8)):
        config = Config(act_format=act_format, align_bits=align_bits, lanes=lanes)
        assert config.has_infinities == infinities
        assert config.group_code_bits == exponent_bits + nans + 2 * infinities
        assert config.act_wires == lanes * align_bits + infinities
        # A group whose largest exponent field is the bias has numbers in [1, 2): 1 is 2**(align_bits - 2).
        bias = 2 ** (exponent_bits - 1) - 1
        assert 2.0 ** (bias - config.align_offset) == 1 / 2 ** (align_bits - 2)
    assert not Config(act_format=act_format, fp_scheme="fp_mac").has_infinities
    assert not Config().has_infinities
    assert Config(lanes=4).act_wires == 32


@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("weight_signed", [False, True])
def test_widths_by_every_operand(weight_signed, zero_point):
    """Nothing assumed: every group of two of every 2-bit weight, every zero point, every 4-bit activation."""
    config = Config(weight_bits=2, act_bits=4, group=2, weight_signed=weight_signed, zero_point=zero_point)
    weights, acts = codes(2, weight_signed), codes(4, True)
    offset = 0 if weight_signed else 2
    sums, corrected = set(), set()
    for q0, q1, a0, a1 in itertools.product(weights, weights, acts, acts):
        sums.add((q0 - offset) * a0 + (q1 - offset) * a1)
        for z in weights if zero_point else (0,):
            corrected.add((q0 - z) * a0 + (q1 - z) * a1)
    assert config.sum_bits == narrowest(list(sums))
    assert config.corrected_bits == narrowest(list(corrected))
    assert config.row_sum_bits == narrowest([a0 + a1 for a0 in acts for a1 in acts])


def test_signed_bits():
    for low, high in itertools.combinations_with_replacement(range(-40, 41), 2):
        assert signed_bits(low, high) == narrowest([0, low, high])


def test_formats():
    config = Config(weight_bits=3, weight_signed=False, act_bits=5, out_format="bf16")
    assert (config.weight_code.min, config.weight_code.max) == (0, 7)
    assert (config.weight.min, config.weight.max) == (-4, 3)
    assert (config.act.min, config.act.max) == (-16, 15)
    assert config.act_code == config.act
    assert config.act_limits == (-16, 15)
    assert (config.scale.bits, config.out.bits) == (16, 16)
    assert config.matrix.subtracts
    assert not Config().matrix.subtracts
    assert Config(zero_point=True).matrix.subtracts


def test_widths_inside_the_array():
    # s4 x s8 over 128: 19 bits; digits of 4 bits take 6 wires, of 5 bits 8; a carry apart at 3, 6 ... 18.
    assert Config().drain_bits == Config(datapath="booth").drain_bits == 19
    assert Config(datapath="carry_save").drain_bits == 25
    assert Config(datapath="carry_save").carry_columns == (3, 6, 9, 12, 15, 18)
    assert [Config(datapath="booth", weight_bits=bits).weight_wires for bits in (2, 3, 4, 5, 8)] == [
        3,
        5,
        6,
        8,
        12,
    ]
    assert Config(datapath="bit_heap", weight_bits=5).weight_wires == 5


def test_least_accumulator_width():
    assert Config(acc_bits=32).sum_bits == 32
    assert Config(acc_bits=18).sum_bits == 19
