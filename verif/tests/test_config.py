"""The configuration: what it refuses, its names, and its widths against independent models."""

import itertools
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Any

import pytest

from mixpe.hw.config import Config
from mixpe.hw.errors import UserError
from mixpe.hw.formats import signed_bits

INTEGERS = ("weight_bits", "act_bits", "group", "rows", "cols", "lanes", "acc_bits")
FLAGS = ("weight_signed", "zero_point", "token_scale")
TEXTS = ("name", "datapath", "adder", "target", "out_format")
NAMES = "name must be a lower-case letter followed by at most 62 lower-case letters, digits and underscores"


def refusal(**values: Any) -> str:
    with pytest.raises(UserError) as error:
        Config(**values)
    message = str(error.value)
    assert "\n" not in message
    return message


# What is refused


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("weight_bits", 2, 8),
        ("act_bits", 4, 16),
        ("group", 1, 16384),
        ("rows", 1, 128),
        ("cols", 1, 128),
        ("acc_bits", 0, 48),
    ],
)
def test_range(field, low, high):
    for value in (low, high):
        assert getattr(Config(**{field: value}), field) == value
    for value in (low - 1, high + 1, -high, 10**30):
        assert refusal(**{field: value}) == f"{field} must be {low} to {high}, not {value}"


def test_lanes():
    assert [Config(lanes=lanes).lanes for lanes in (1, 2, 4, 8)] == [1, 2, 4, 8]
    for value in (-1, 0, 3, 5, 16):
        assert refusal(lanes=value) == f"lanes must be one of 1, 2, 4, 8, not {value}"


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("datapath", ("shift_add", "multiplier", "bit_heap", "booth", "carry_save")),
        ("target", ("asic", "fpga")),
        ("out_format", ("fp32", "fp16", "bf16")),
    ],
)
def test_choice(field, allowed):
    assert [getattr(Config(**{field: value}), field) for value in allowed] == list(allowed)
    for value in ("", "booth2", allowed[0].upper(), allowed[0] + " ", "two\nlines"):
        assert refusal(**{field: value}) == f"{field} must be one of {', '.join(allowed)}, not {value!r}"


@pytest.mark.parametrize("datapath", ["bit_heap", "booth"])
def test_prefix_adder(datapath):
    assert Config(datapath=datapath, adder="prefix").final_adder == "prefix"
    assert refusal(datapath=datapath, adder="carry") == "adder must be one of ripple, prefix, not 'carry'"


@pytest.mark.parametrize(
    ("datapath", "target"),
    [("shift_add", "asic"), ("multiplier", "asic"), ("carry_save", "asic"), ("booth", "fpga")],
)
def test_no_prefix_adder(datapath, target):
    assert refusal(datapath=datapath, target=target, adder="prefix") == (
        f"adder prefix goes with datapath bit_heap or booth and target asic, not with {datapath} and {target}"
    )


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


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", [True, 4.0, "4", None, [4]])
def test_integer_type(field, value):
    assert refusal(**{field: value}) == f"{field} must be of type int, not {value!r}"


@pytest.mark.parametrize("field", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_flag_type(field, value):
    assert refusal(**{field: value}) == f"{field} must be of type bool, not {value!r}"


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", [1, None, b"fp32"])
def test_text_type(field, value):
    assert refusal(**{field: value}) == f"{field} must be of type str, not {value!r}"


def test_every_field_is_covered():
    assert {field.name for field in fields(Config)} == {*INTEGERS, *FLAGS, *TEXTS}


@pytest.mark.parametrize("name", ["A", "1a", "_a", "a-b", "a b", "a\n", "ü", "a.v", "../a", "a" * 64])
def test_name(name):
    assert refusal(name=name) == f"{NAMES}, not {name!r}"


def test_longest_name():
    assert Config(name="a" * 63).name == "a" * 63


@pytest.mark.parametrize("name", ["module", "output", "table", "wire", "logic", "bit"])
def test_name_is_no_reserved_word(name):
    message = refusal(name=name)
    assert message.startswith("name must")
    assert repr(name) in message


def test_fields_are_keywords_and_frozen():
    with pytest.raises(TypeError):
        Config("w4a8")  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Config().rows = 2  # type: ignore[misc]


# The derived name


def test_derived_name():
    assert Config().name == "w4a8_16x16_g128"
    assert Config(weight_bits=3, act_bits=6, rows=2, cols=9, group=7).name == "w3a6_2x9_g7"
    everything = Config(
        weight_signed=False,
        zero_point=True,
        lanes=4,
        datapath="multiplier",
        out_format="bf16",
        token_scale=True,
    )
    assert everything.name == "w4uza8_16x16_g128_l4_multiplier_bf16_t"
    assert Config(name="mine", rows=2).name == "mine"


def test_derived_names_differ():
    changes = [
        {"weight_bits": 5},
        {"weight_signed": False},
        {"zero_point": True},
        {"act_bits": 5},
        {"group": 5},
        {"rows": 5},
        {"cols": 5},
        {"lanes": 2},
        {"datapath": "booth"},
        {"datapath": "bit_heap", "adder": "prefix"},
        {"target": "fpga"},
        {"acc_bits": 32},
        {"out_format": "fp16"},
        {"token_scale": True},
    ]
    assert {key for change in changes for key in change} == {field.name for field in fields(Config)} - {
        "name"
    }
    pairs = [
        {**one, **two} for one, two in itertools.combinations(changes, 2) if not {"adder"} & {*one, *two}
    ]
    names = [Config(**change).name for change in ({}, *changes, *pairs)]
    assert len(set(names)) == len(names)
    # A derived name is itself a legal one.
    assert all(Config(name=name).name == name for name in names)


# Widths


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
    assert (config.scale.bits, config.out.bits) == (16, 16)
    assert config.has_row_sum
    assert not Config().has_row_sum
    assert Config(zero_point=True).has_row_sum


def test_configurations_compare_and_survive_a_round_trip():
    config = Config(rows=3, out_format="fp16")
    assert Config(**asdict(config)) == config
    assert hash(replace(config)) == hash(config)
    assert replace(config, rows=4, name="") != config
