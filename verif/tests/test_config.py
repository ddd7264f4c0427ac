"""The configuration: what it refuses, and its names."""

import itertools
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Any

import pytest

from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.formats.numbers import ACT_FORMATS

INTEGERS = (
    "weight_bits",
    "act_bits",
    "group",
    "rows",
    "cols",
    "lanes",
    "cluster",
    "share",
    "acc_bits",
    "align_bits",
)
FLAGS = ("weight_signed", "zero_point", "token_scale")
TEXTS = ("name", "weight_format", "act_format", "fp_scheme", "datapath", "adder", "target", "out_format")
NAMES = "name must be a lower-case letter followed by at most 79 lower-case letters, digits and underscores"


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


def test_weight_bits_of_integers():
    assert [Config(weight_bits=bits).weight_bits for bits in (0, 2, 8)] == [4, 2, 8]
    for value in (-1, 1, 9, 10**30):
        assert refusal(weight_bits=value) == f"weight_bits must be 0 or 2 to 8, not {value}"


def test_weight_format():
    for bits in (0, 4):
        config = Config(weight_format="fp4_e2m1", weight_bits=bits)
        assert (config.weight_bits, config.weight.bits, config.sum_bits) == (4, 5, 19)
    for value in ("", "fp8_e4m3", "INT", "two\nlines"):
        assert refusal(weight_format=value) == f"weight_format must be one of int, fp4_e2m1, not {value!r}"


def test_act_bits_of_integers():
    assert [Config(act_bits=bits).act_bits for bits in (0, 4, 16)] == [8, 4, 16]
    for value in (-1, 3, 17, 10**30):
        assert refusal(act_bits=value) == f"act_bits must be 0 or 4 to 16, not {value}"


def test_group():
    """A refusal says how to ask for per-channel quantization."""
    assert [Config(group=group).group for group in (1, 16385, 2**24 - 1)] == [1, 16385, 2**24 - 1]
    for value in (-1, 0, 2**24, 10**30):
        assert refusal(group=value) == (
            f"group must be 1 to 16777215, not {value}; for per-channel quantization give a group of at "
            "least K"
        )
    assert Config(act_format="fp16", group=16384).group == 16384
    assert Config(act_format="fp16", fp_scheme="fp_mac", group=2**24 - 1).group == 2**24 - 1
    assert refusal(act_format="fp16", group=16385) == (
        "group must be 1 to 16384 for fp_scheme aligned, not 16385: the array holds a group of every row in "
        "memory"
    )


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


def test_act_bits_of_a_format():
    widths = {"int": 8, "fp16": 16, "bf16": 16, "fp8_e4m3": 8, "fp8_e5m2": 8, "fp6_e3m2": 6}
    for act_format, bits in widths.items():
        scheme = "aligned" if act_format == "int" else "fp_mac"
        fields: dict[str, Any] = {"act_format": act_format, "fp_scheme": scheme}
        assert Config(**fields).act_bits == Config(**fields, act_bits=bits).act_bits == bits
        assert Config(**fields) == Config(**fields, act_bits=bits)
        for value in (-1, 5, 12, 32) if act_format != "int" else ():
            expected = f"act_bits must be {bits} for act_format {act_format}, not {value}"
            assert refusal(**fields, act_bits=value) == expected
    for value in ("", "fp32", "FP16", "float16", "two\nlines"):
        formats = ", ".join(widths)
        assert refusal(act_format=value) == f"act_format must be one of {formats}, not {value!r}"


def test_fp_scheme():
    for act_format in ACT_FORMATS:
        assert Config(act_format=act_format, align_bits=8).scheme.name == "aligned"
        assert Config(act_format=act_format, fp_scheme="fp_mac").scheme.name == "fp_mac"
        for value in ("", "integer", "int", "Aligned"):
            expected = f"fp_scheme must be one of aligned, fp_mac, not {value!r}"
            assert refusal(act_format=act_format, fp_scheme=value) == expected
    assert Config().scheme.name == "integer"
    assert refusal(fp_scheme="fp_mac") == "fp_scheme fp_mac needs a floating-point act_format, not int"


@pytest.mark.parametrize(
    ("act_format", "most", "value", "why"),
    [
        ("fp16", 41, 7, "; the nearest is 8"),
        ("fp16", 41, -1, "; the nearest is 8"),
        ("fp16", 41, 42, ": at 41 bits FP16 is exact; the nearest is 41"),
        ("fp16", 41, 10**30, ": at 41 bits FP16 is exact; the nearest is 41"),
        ("bf16", 41, 7, "; the nearest is 8"),
        ("bf16", 41, 42, "; the nearest is 41"),
        ("bf16", 41, 0, ": exact BF16 takes 262 bits; the nearest is 41"),
        ("bf16", 41, 300, ": at 262 bits BF16 is exact; the nearest is 41"),
        ("fp8_e4m3", 19, 4, "; the nearest is 8"),
        ("fp8_e4m3", 19, 20, ": at 19 bits FP8_E4M3 is exact; the nearest is 19"),
        ("fp8_e5m2", 33, 34, ": at 33 bits FP8_E5M2 is exact; the nearest is 33"),
    ],
)
def test_align_bits(act_format, most, value, why):
    for bits in (8, most):
        assert Config(act_format=act_format, align_bits=bits).align_bits == bits
    assert refusal(act_format=act_format, align_bits=value) == (
        f"align_bits must be 8 to {most} for act_format {act_format}, not {value}{why}"
    )


def test_align_bits_of_what_is_not_aligned():
    assert refusal(align_bits=13) == "align_bits must be 0 for act_format int, not 13"
    for act_format in ACT_FORMATS:
        fields: dict[str, Any] = {"act_format": act_format, "fp_scheme": "fp_mac"}
        assert Config(**fields).align_bits == 0
        for value in (13, -1):
            expected = f"align_bits must be 0 for fp_scheme fp_mac, not {value}"
            assert refusal(**fields, align_bits=value) == expected


@pytest.mark.parametrize("act_format", ACT_FORMATS)
def test_fp_mac_has_no_integer_datapath(act_format):
    fields: dict[str, Any] = {"act_format": act_format, "fp_scheme": "fp_mac"}
    for datapath in ("multiplier", "bit_heap", "booth", "carry_save"):
        expected = f"datapath must be shift_add for fp_scheme fp_mac, not {datapath}"
        assert refusal(**fields, datapath=datapath) == expected
        aligned = Config(act_format=act_format, align_bits=9, datapath=datapath, acc_bits=40)
        assert (aligned.datapath, aligned.acc_bits) == (datapath, 40)
    assert refusal(**fields, acc_bits=32) == "acc_bits must be 0 for fp_scheme fp_mac, not 32"
    # Without floating-point activations, the scheme's default forbids nothing.
    assert Config(datapath="booth", acc_bits=32).fp_scheme == "aligned"


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
        "adder prefix goes with datapath bit_heap or booth, or fp_scheme fp_mac, and target asic, "
        f"not with {datapath} and {target}"
    )


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


@pytest.mark.parametrize("name", ["A", "1a", "_a", "a-b", "a b", "a\n", "ü", "a.v", "../a", "a" * 81])
def test_name(name):
    assert refusal(name=name) == f"{NAMES}, not {name!r}"


def test_longest_name():
    assert Config(name="a" * 80).name == "a" * 80


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
    assert Config(act_format="fp16").name == "w4fp16_16x16_g128_align41"
    assert Config(act_format="bf16", align_bits=13, lanes=2).name == "w4bf16_16x16_g128_align13_l2"
    assert Config(act_format="fp8_e5m2", fp_scheme="fp_mac").name == "w4e5m2_16x16_g128_fp_mac"


def test_derived_names_differ():
    changes = [
        {"weight_bits": 5},
        {"weight_format": "fp4_e2m1"},
        {"weight_signed": False},
        {"zero_point": True},
        {"act_bits": 5},
        {"act_format": "fp16"},
        {"act_format": "fp16", "align_bits": 13},
        {"act_format": "fp16", "fp_scheme": "fp_mac"},
        {"act_format": "bf16", "align_bits": 13},
        {"act_format": "fp8_e4m3"},
        {"act_format": "fp8_e5m2"},
        {"act_format": "fp6_e3m2"},
        {"group": 5},
        {"rows": 5},
        {"cols": 5},
        {"lanes": 2},
        {"share": 2},
        {"cluster": 2},
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
    clashes = [{"act_bits", "act_format"}, {"fp_scheme", "datapath"}, {"fp_scheme", "acc_bits"}]
    clashes += [
        {"cols", "share"},
        {"rows", "cluster"},
        {"cols", "cluster"},
    ]  # the second must divide the first
    clashes += [{"weight_format", field} for field in ("weight_bits", "weight_signed", "zero_point")]
    pairs = [
        {**one, **two}
        for one, two in itertools.combinations(changes, 2)
        if not ({"adder"} & {*one, *two} or {*one} & {*two} or any(c <= {*one, *two} for c in clashes))
    ]
    names = [Config(**change).name for change in ({}, *changes, *pairs)]
    assert len(set(names)) == len(names)
    # A derived name is itself a legal one.
    assert all(Config(name=name).name == name for name in names)


@pytest.mark.parametrize("act_format", ["int", *ACT_FORMATS])
def test_longest_derived_names(act_format):
    """They are legal names themselves, so that a configuration survives being written down."""
    longest: dict[str, Any] = {
        "weight_signed": False,
        "zero_point": True,
        "act_format": act_format,
        "act_bits": 16 if act_format == "int" else 0,
        "align_bits": 0 if act_format == "int" else 10,
        "group": 2**24 - 1 if act_format == "int" else 16384,
        "rows": 128,
        "cols": 128,
        "lanes": 8,
        "cluster": 2,
        "share": 128,
        "acc_bits": 48,
        "out_format": "fp16",
        "token_scale": True,
    }
    for datapath, adder, target in (("carry_save", "ripple", "fpga"), ("bit_heap", "prefix", "asic")):
        config = Config(**longest, datapath=datapath, adder=adder, target=target)
        assert Config(**asdict(config)) == config


def test_configurations_compare_and_survive_a_round_trip():
    aligned = Config(act_format="fp16")
    for config in (
        Config(rows=3, out_format="fp16"),
        aligned,
        Config(act_format="bf16", align_bits=11),
        Config(act_format="fp8_e4m3", fp_scheme="fp_mac"),
    ):
        assert Config(**asdict(config)) == config
        assert hash(replace(config)) == hash(config)
        assert replace(config, rows=4, name="") != config
    assert aligned == Config(act_format="fp16", act_bits=16, align_bits=41)
