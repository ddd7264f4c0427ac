"""The configuration: what it refuses, and its widths and cycle counts against independent models."""

import itertools
import random
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


# Beats and cycles


def test_beats():
    config = Config(group=10, lanes=4)
    assert config.beats(1) == [1]
    assert config.beats(10) == [3]
    assert config.beats(11) == [3, 1]
    assert config.beats(29) == [3, 3, 3]
    assert Config(group=16384).beats(7) == [7]
    for k in (0, -1):
        with pytest.raises(UserError, match=rf"^k must be at least 1, not {k}$"):
            config.beats(k)


def test_every_inner_index_has_its_place():
    rng = random.Random(1)
    for _ in range(500):
        config = Config(group=rng.randint(1, 50), lanes=rng.choice((1, 2, 4, 8)))
        k = rng.randint(1, 300)
        lengths = [min(config.group, k - start) for start in range(0, k, config.group)]
        filled = []
        for length in lengths:
            taken = 0
            while length > 0:
                length -= config.lanes
                taken += 1
            filled.append(taken)
        assert config.beats(k) == filled


def random_config(rng: random.Random) -> Config:
    return Config(
        weight_signed=rng.random() < 0.5,
        zero_point=rng.random() < 0.5,
        token_scale=rng.random() < 0.5,
        group=rng.choice((1, 2, 5, 8, 31, 32, 64, 100, 128)),
        rows=rng.choice((1, 2, 3, 5, 8, 16, 40, 128)),
        cols=rng.choice((1, 2, 3, 5, 8, 16, 40, 128)),
        lanes=rng.choice((1, 2, 4, 8)),
        datapath=rng.choice(("shift_add", "carry_save")),
    )


def simulated(config: Config, beats: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Steps through tiles of groups of `beats`, beat by beat, with streams that are never late.

    Returns the cycle of each group's end, tile by tile, and of each output beat. The rules: a beat a cycle;
    the end of a group waits for `group_gap`; the end of a tile's first group waits until the last row of the
    tile before has left the columns' memories, where row i appears i + cols - 1 cycles after the group's
    `write_latency`, and which one row leaves a cycle.
    """
    cycle, last_end, memories_free, read = -1, None, 0, -1
    ends, outs = [], []
    for tile in beats:
        ends.append([])
        for index, count in enumerate(tile):
            for beat in range(count):
                cycle += 1
                if beat < count - 1:
                    continue
                while (last_end is not None and cycle < last_end + config.group_gap) or (
                    index == 0 and cycle < memories_free
                ):
                    cycle += 1
                last_end = cycle
                ends[-1].append(cycle)
        for row in range(config.rows):
            written = cycle + config.write_latency + row + config.cols - 1
            read = max(written, read) + 1
            outs.append(read + config.output_latency)
        memories_free = read + 1
    return ends, outs


def test_cycles_by_events():
    rng = random.Random(2)
    waited = 0
    for _ in range(1500):
        config = random_config(rng)
        k, tiles = rng.randint(1, 4 * config.group * config.lanes), rng.randint(2, 5)
        ends, outs = simulated(config, [config.beats(k)] * tiles)
        assert outs[-1] + 1 == config.run_cycles(k, tiles), (config, k, tiles)
        assert outs[config.rows - 1] + 1 == config.run_cycles(k), (config, k)
        intervals = {after[-1] - before[-1] for before, after in itertools.pairwise(ends)}
        assert intervals == {config.tile_cycles(k)}, (config, k, tiles)
        waited += config.tile_cycles(k) > sum(config.beats(k))
    assert 100 < waited < 1400  # tiles with bubbles and without


def test_long_groups_lose_no_cycle():
    config = Config()
    assert config.tile_cycles(4096) == 4096
    assert config.run_cycles(4096, 3) == 3 * 4096 + config.drain_latency


def test_nothing_is_used_twice():
    """What the gaps are for: buses, running sums and scale registers, followed cycle by cycle."""
    rng = random.Random(3)
    for _ in range(150):
        config = replace(random_config(rng), name="", rows=rng.randint(1, 12), cols=rng.randint(1, 12))
        tiles = [config.beats(rng.randint(1, 3 * config.group)) for _ in range(4)]
        ends, _ = simulated(config, tiles)
        bus, written, scales, group = set(), {}, {}, 0
        uses = []
        for tile in ends:
            for index, end in enumerate(tile):
                uses.append((end, group % config.scale_slots, group))
                for row, col in itertools.product(range(config.rows), range(config.cols)):
                    cycle = end + row + col
                    assert (col, cycle) not in bus, "two sums on one bus"
                    bus.add((col, cycle))
                    # A memory read shows what was written in earlier cycles.
                    if index:
                        assert written[row, col] < cycle + config.product_latency - 1, "running sum too late"
                    written[row, col] = cycle + config.write_latency
                    scales[group] = max(scales.get(group, 0), cycle + config.scale_latency)
                group += 1
        for end, slot, group in uses:
            # Written at the end of a group, seen one cycle later: until then the slot is the older group's.
            older = [other for other_end, other_slot, other in uses if other_slot == slot and other < group]
            assert all(scales[other] <= end for other in older), "scale overwritten while in use"


def test_slot_count_is_least():
    """One register more per column than the overlap of groups asks for would be waste."""
    for rows, cols, group in itertools.product((1, 4, 16, 128), (1, 4, 16, 128), (1, 8, 32, 128, 512)):
        config = Config(rows=rows, cols=cols, group=group)
        if config.scale_slots > 1:
            in_use = config.scale_latency + rows - 1 + cols - 1
            assert (config.scale_slots - 1) * config.group_gap < in_use
        if group >= 2 * (rows + cols):
            assert config.scale_slots == 1


def test_configurations_compare_and_survive_a_round_trip():
    config = Config(rows=3, out_format="fp16")
    assert Config(**asdict(config)) == config
    assert hash(replace(config)) == hash(config)
    assert replace(config, rows=4, name="") != config
