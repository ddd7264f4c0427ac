"""The plain Verilog testbench, as a user without Python runs it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mixpe.gen.manifest import manifest
from mixpe.gen.testbench import testbench as plain_testbench
from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config
from verif.harness.testbench import run_testbench
from verif.samples.arrays import SMALL, modules, verilog


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_testbench_passes(config, tmp_path):
    (line,) = run_testbench(verilog(config), plain_testbench(config), tmp_path)
    cycles = re.fullmatch(rf"PASS {config.name}: (\d+) out beats twice, (\d+) cycles", line)
    assert cycles is not None, line
    assert int(cycles[1]) == 2 * config.rows


def fails(design: str, bench: str, folder: Path) -> list[str]:
    lines = run_testbench(design, bench, folder)
    assert lines[-1].startswith("FAIL "), lines
    return lines


@pytest.mark.parametrize("change", [{"group": 8}, {"group": 10}, {"group": 18}, {"weight_signed": False}])
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


@pytest.mark.parametrize("beat", ["first", "last"])
def test_testbench_catches_a_wrong_result(beat, tmp_path):
    """One bit of one expected beat, under full speed and under waits alike."""
    config = SMALL["3x5"]
    bench = plain_testbench(config)
    found = list(re.finditer(r"out_beats\[(\d+)\] = 161'h(\w+);", bench))
    assert len(found) == 2 * config.rows
    match = found[0] if beat == "first" else found[-1]
    at = match.end(2) - 1
    changed = f"{bench[:at]}{int(bench[at], 16) ^ 1:x}{bench[at + 1 :]}"
    lines = fails(verilog(config), changed, tmp_path)
    assert [line.split(" is ")[0] for line in lines[:-1]] == [f"out beat {match[1]}"] * 2
    assert lines[-1] == f"FAIL {config.name}: 2 errors"


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
        assert "no result for too long, 0 of 6 out beats" in lines[-1]


def test_testbench_of_a_design_that_stops_ends(tmp_path):
    """The second row never comes."""
    config = Config(rows=2, cols=1, group=2, weight_bits=2, act_bits=4)
    read_out = modules(verilog(config))[f"{config.name}_read_out"]
    stuck, found = re.subn(r"assign take = (.*);", r"assign take = (\1) & ~row;", read_out)
    assert found == 1
    lines = fails(verilog(config).replace(read_out, stuck), plain_testbench(config), tmp_path)
    assert "no result for too long, 1 of 4 out beats" in lines[-1]


def test_long_groups_have_short_testbenches():
    for config in (Config(), Config(group=16384), Config(group=16384, lanes=8, rows=1, cols=1)):
        bench = plain_testbench(config)
        assert 100 < bench.count("acts_beats[") < 2000
