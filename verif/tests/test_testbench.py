"""The plain Verilog testbench, as a user without Python runs it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mixpe.gen.manifest import manifest
from mixpe.gen.testbench import testbench as plain_testbench
from mixpe.gen.vectors import Shape, Vectors
from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config
from verif.harness.testbench import run_testbench
from verif.samples.arrays import SMALL, modules, verilog


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_testbench_passes(config, tmp_path):
    (line,) = run_testbench(verilog(config), plain_testbench(config), tmp_path)
    said = re.fullmatch(
        rf"PASS {config.name}: (\d+) out beats, (\d+) cycles for the first {3 * config.rows}", line
    )
    assert said is not None, line
    assert int(said[1]) > 10 * config.rows
    assert int(said[1]) % config.rows == 0


def fails(design: str, bench: str, folder: Path) -> list[str]:
    lines = run_testbench(design, bench, folder)
    assert lines[-1].startswith("FAIL "), lines
    return lines


@pytest.mark.parametrize(
    "change", [{"group": 8}, {"group": 10}, {"group": 18}, {"weight_signed": False}], ids=str
)
def test_testbench_catches_another_design(change, tmp_path):
    """Of the same ports and the same name."""
    config = replace(SMALL["3x5"], name="mine")
    fails(design_verilog(replace(config, **change)), plain_testbench(config), tmp_path)


def test_testbench_catches_a_wrong_operand(tmp_path):
    """One bit of the last beat of weights."""
    config = SMALL["3x5"]
    bench = plain_testbench(config)
    beats = list(re.finditer(r"weights_beats\[\d+\] = 20'h(\w+);", bench))
    at = beats[-1].end(1) - 1
    changed = f"{bench[:at]}{int(bench[at], 16) ^ 4:x}{bench[at + 1 :]}"
    fails(verilog(config), changed, tmp_path)


@pytest.mark.parametrize(("beat", "runs"), [("first", 6), ("last", 1)])
def test_testbench_catches_a_wrong_result(beat, runs, tmp_path):
    """One bit of one expected beat, in every run that plays it."""
    config = SMALL["3x5"]
    bench = plain_testbench(config)
    found = list(re.finditer(r"out_beats\[(\d+)\] = 161'h(\w+);", bench))
    match = found[0] if beat == "first" else found[-1]
    at = match.end(2) - 1
    changed = f"{bench[:at]}{int(bench[at], 16) ^ 1:x}{bench[at + 1 :]}"
    lines = fails(verilog(config), changed, tmp_path)
    assert [line.split(" is ")[0] for line in lines[:-1]] == [f"out beat {match[1]}"] * runs
    assert lines[-1] == f"FAIL {config.name}: {runs} errors"


def test_testbench_stops_at_many_errors(tmp_path):
    config = SMALL["3x5"]
    bench = re.sub(r"(out_beats\[\d+\] = 161'h)\w+;", r"\g<1>0;", plain_testbench(config))
    lines = fails(verilog(config), bench, tmp_path)
    assert len(lines) == 11
    assert lines[-1] == f"FAIL {config.name}: stopped after 10 errors"


def test_testbench_counts_cycles(tmp_path):
    config = SMALL["3x5"]
    cycles = re.search(r"localparam CYCLES = (\d+);", bench := plain_testbench(config))
    assert cycles is not None
    expected = int(cycles[1])
    changed = bench.replace(cycles[0], f"localparam CYCLES = {expected + 1};")
    lines = fails(verilog(config), changed, tmp_path)
    assert lines[0] == f"{expected} cycles, not {expected + 1}"


def stub(config: Config, ready: str, valid: str) -> str:
    """A design that holds its outputs for ever."""
    described = manifest(config, "", {})["ports"]
    values = {"ready": ready, "valid": valid, "payload": ""}
    lines = [f"  {port['direction']} [{port['width'] - 1}:0] {port['name']};" for port in described]
    lines += [
        f"  assign {port['name']} = {value};"
        for port in described
        if port["direction"] == "output" and (value := values[port["name"].rpartition("__")[2]])
    ]
    names = ", ".join(port["name"] for port in described)
    return "\n".join([f"module {config.name}({names});", *lines, "endmodule", ""])


@pytest.mark.parametrize(("ready", "valid"), [("0", "0"), ("1", "0"), ("1", "1"), ("", "")])
def test_testbench_of_a_dead_design_ends(ready, valid, tmp_path):
    """Takes nothing, gives nothing, gives nonsense, is not there."""
    config = SMALL["3x5"]
    lines = fails(stub(config, ready, valid), plain_testbench(config), tmp_path)
    if valid != "1":
        assert "no result for too long, 0 of 9 out beats" in lines[-1]


def test_testbench_of_a_design_that_stops_ends(tmp_path):
    """The second row never comes."""
    config = Config(rows=2, cols=1, group=2, weight_bits=2, act_bits=4)
    read_out = modules(verilog(config))[f"{config.name}_read_out"]
    stuck, found = re.subn(r"assign take = (.*);", r"assign take = (\1) & ~row;", read_out)
    assert found == 1
    lines = fails(verilog(config).replace(read_out, stuck), plain_testbench(config), tmp_path)
    assert "no result for too long, 1 of 6 out beats" in lines[-1]


def of_group(config: Config, group: int) -> str:
    return design_verilog(replace(config, group=group))


@pytest.mark.parametrize("lanes", [1, pytest.param(2, marks=pytest.mark.nightly), 4])
@pytest.mark.parametrize(
    "fields", [{}, {"act_format": "fp16", "align_bits": 11}, {"zero_point": True}], ids=str
)
def test_testbench_catches_another_group(lanes, fields, tmp_path):
    """A beat more, a beat less, twice as long, per channel; long groups and short ones."""
    config = Config(name="mine", rows=2, cols=1, lanes=lanes, group=256, weight_bits=2, **fields)
    bench = plain_testbench(config)
    for group in (256 - lanes, 256 + lanes, 512, 16384):
        fails(of_group(config, group), bench, tmp_path)


@pytest.mark.parametrize("group", [1031, 16384])
def test_testbench_crosses_long_groups(group, tmp_path):
    config = Config(name="mine", rows=1, cols=2, group=group, act_bits=4, weight_bits=2)
    bench = plain_testbench(config)
    assert len(bench) < 300_000
    (line,) = run_testbench(of_group(config, group), bench, tmp_path)
    assert line.startswith("PASS")
    for other in (group - 1, group + 1):
        fails(of_group(config, other), bench, tmp_path)


@pytest.mark.parametrize("config", [Config(group=256), Config(name="mine", rows=2, cols=2, group=5)], ids=str)
def test_testbench_catches_columns_that_never_add(config, tmp_path):
    """Every group begins the result anew."""
    config = replace(config, name="mine", rows=2, cols=2)
    design, bench = design_verilog(config), plain_testbench(config)
    changed, found = re.subn(
        r"(  mine_column column\d+ \((?:.|\n)*?\.first\()([^)]*)(\))", r"\g<1>1'b1\3", design
    )
    assert found == len(config.lags)
    fails(changed, bench, tmp_path)


def test_longest_group_is_cut_short():
    """No simulator crosses it; the file stays small."""
    for config in (Config(group=(1 << 24) - 1), Config(group=(1 << 24) - 1, lanes=8, rows=1, cols=1)):
        assert len(plain_testbench(config)) < 400_000


def test_testbench_is_the_same_each_time():
    assert plain_testbench(SMALL["everything"]) == plain_testbench(SMALL["everything"])


def test_vectors_hold_what_rounds_and_what_is_special():
    """Scales of both signs, zero, subnormal, largest, infinite and NaN; such token scales and activations."""
    config = Config(
        name="mine", rows=2, cols=2, group=8, act_format="fp16", fp_scheme="fp_mac", token_scale=True
    )
    vectors = Vectors(config, seed=1)
    shape = Shape(16, active=3, special_acts=True, special_scales=True)
    tiles = [vectors.tile(shape) for _ in range(200)]
    for numbers in (
        np.concatenate([tile.weights.groups["s"].ravel() for tile in tiles]),
        np.concatenate([tile.t for tile in tiles if tile.t is not None]),
        np.concatenate([tile.a.ravel() for tile in tiles]),
    ):
        info = np.finfo(numbers.dtype)
        finite = numbers[np.isfinite(numbers)]
        assert set(np.sign(finite)) == {-1, 0, 1}
        assert {float(info.smallest_subnormal), float(info.max), float(-info.max)} <= set(map(float, finite))
        assert np.isnan(numbers).any()
        assert set(numbers[np.isinf(numbers)]) == {np.inf, -np.inf}
