"""Properties of every configuration: it survives files, refuses what it must, and is wide enough."""

import dataclasses
import itertools
import json
import math
import re
from contextlib import nullcontext

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixpe.gen.configurations import load_design
from mixpe.gen.core_manifest import core_manifest
from mixpe.gen.manifest import manifest
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.fields import check_name
from mixpe.spec.reserved import RESERVED
from verif.samples.strategies import Refused, arrays, cores, refused_fields

_FEWER = settings.default.max_examples // 2
"""Examples of properties that take longer: a manifest states the cycles of long products."""

LONGEST_NAMES = [
    Config(
        weight_bits=8,
        weight_signed=False,
        zero_point=True,
        act_format="fp8_e5m2",
        group=16384,
        rows=128,
        cols=128,
        lanes=8,
        acc_bits=48,
        out_format="fp16",
        token_scale=True,
        **how,
    )
    for how in (
        {"align_bits": 33, "datapath": "carry_save", "target": "fpga"},
        {"align_bits": 33, "datapath": "bit_heap", "adder": "prefix"},
    )
]


def toml(fields: dict) -> str:
    """Text of TOML that holds numbers, strings and truth values, which JSON writes alike."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Returns the path of a file that every example writes anew."""
    return tmp_path_factory.mktemp("properties") / "own.toml"


@given(config=arrays())
@settings(max_examples=_FEWER)
def test_an_array_survives_files(path, config):
    """As TOML, and as the manifest's part in JSON."""
    path.write_text(toml(dataclasses.asdict(config)))
    assert load_design(str(path)) == config
    read = json.loads(json.dumps(manifest(config, "", {})))
    assert Config(**read["configuration"]) == config
    assert read["top"] == config.name


@given(core=cores())
@settings(max_examples=_FEWER)
def test_a_core_survives_files(path, core):
    fields = dataclasses.asdict(core)
    array, name = fields.pop("array"), fields.pop("name")
    path.write_text(toml(array | {"name": name}) + "[core]\n" + toml(fields))
    assert load_design(str(path)) == core
    read = json.loads(json.dumps(core_manifest(core, "", {})))["configuration"]
    assert CoreConfig(**read | {"array": Config(**read["array"])}) == core


@given(arrays(name=st.just("")))
@example(LONGEST_NAMES[0])
@example(LONGEST_NAMES[1])
def test_a_made_up_name_is_a_name(config):
    check_name(config.name)
    assert Config(**dataclasses.asdict(config) | {"name": ""}).name == config.name


@given(arrays(name=st.just("")), arrays(name=st.just("")))
def test_made_up_names_tell_arrays_apart(one, other):
    assert (one.name == other.name) == (one == other)


@given(refused_fields())
@example(Refused("group", 0))
@example(Refused("weight_bits", True))
def test_a_refusal_names_field_and_value(refused):
    # Widths of integers are checked where they count: for activations that are integers, or are aligned.
    beside = {"act_format": "fp16"} if refused.name == "align_bits" else {}
    with pytest.raises(UserError, match=rf"^{refused.name} must be ") as caught:
        Config(**beside | {refused.name: refused.value})
    message = str(caught.value)
    assert str(refused.value) in message or repr(refused.value) in message
    assert message.isascii() or not str(refused.value).isascii()
    assert "\n" not in message or "\n" in str(refused.value)


@given(st.text(max_size=80) | st.from_regex("[a-z][a-z0-9_]{55,70}", fullmatch=True))
def test_any_name_is_legal_or_refused(name):
    """A legal one is an identifier of Verilog."""
    legal = re.fullmatch("[a-z][a-z0-9_]*", name) and len(name) <= 80 and name not in RESERVED
    with nullcontext() if legal else pytest.raises(UserError, match=re.escape(repr(name))):
        check_name(name)


def narrowest(values) -> int:
    """Bits of the narrowest two's-complement integer that holds all values, by trying."""
    return next(
        bits for bits in itertools.count(1) if all(-(1 << (bits - 1)) <= v < 1 << (bits - 1) for v in values)
    )


def integer_arrays(**own):
    """Arrays that add integers, and whose weights are integers."""
    return arrays(fp_scheme=st.just("aligned"), weight_format=st.just("int"), **own)


@given(integer_arrays())
def test_sums_hold_the_worst_case(config):
    """Each width is the narrowest for the extremes of what a group of codes and activations can add up to."""
    codes = (config.weight_code.min, config.weight_code.max)
    half = 0 if config.weight_signed else 1 << (config.weight_bits - 1)
    if config.act_format == "int":
        acts = (-(1 << (config.act_bits - 1)), (1 << (config.act_bits - 1)) - 1)
    else:
        acts = (1 - (1 << (config.align_bits - 1)), (1 << (config.align_bits - 1)) - 1)
    sums = [config.group * (code - half) * act for code in codes for act in acts]
    assert config.sum_bits == max(narrowest(sums), config.acc_bits)
    assert config.row_sum_bits == narrowest([config.group * act for act in acts])
    zeros = codes if config.zero_point else (0,)
    corrected = [config.group * (code - zero) * act for code in codes for zero in zeros for act in acts]
    assert narrowest(corrected) <= config.corrected_bits
    assert config.corrected_bits == (narrowest(corrected) if config.matrix.subtracts else config.sum_bits)


@given(integer_arrays(acc_bits=st.just(0)), st.data())
def test_more_to_add_is_never_narrower(config, data):
    """By a longer group, wider codes or wider activations."""
    changes = {
        "group": min(2 * config.group, 16384) if config.group < 16384 else config.group,
        "weight_bits": min(config.weight_bits + 1, 8),
    }
    if config.act_format == "int":
        changes["act_bits"] = min(config.act_bits + 1, 16)
    name = data.draw(st.sampled_from(sorted(changes)))
    wider = dataclasses.replace(config, **{name: changes[name]})
    for width in ("sum_bits", "row_sum_bits", "corrected_bits", "drain_bits", "weight_wires", "act_wires"):
        assert getattr(wider, width) >= getattr(config, width), width


def told_cycles(read: dict, **numbers: int) -> dict[str, int]:
    """What the manifest's expressions give, with its own numbers and `numbers`."""
    known = read["latencies"] | {name: read["configuration"][name] for name in ("group", "lanes")} | numbers
    for name, expression in read["cycles"]["formula"].items():
        known[name] = eval(expression, {"max": max}, dict(known))
    return known


@given(arrays(), st.integers(1, 5000), st.integers(1, 1000))
@settings(max_examples=_FEWER)
def test_cycles_are_what_the_manifest_tells(config, k, tiles):
    told = told_cycles(json.loads(json.dumps(manifest(config, "", {}))), K=k, tiles=tiles)
    assert told["tile_cycles"] == config.tile_cycles(k)
    assert told["run_cycles"] == config.run_cycles(k, tiles)


@given(arrays(), st.integers(1, 3000), st.integers(1, 1000))
def test_a_tile_more_takes_a_tile_more(config, k, tiles):
    assert config.run_cycles(k, tiles + 1) - config.run_cycles(k, tiles) == config.tile_cycles(k)
    beats = sum(config.beats(k))
    assert beats >= math.ceil(k / config.lanes)
    assert config.tile_cycles(k) >= beats
    assert config.run_cycles(k, tiles) > tiles * beats
