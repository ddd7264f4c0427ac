"""Competitors from outside the package: the page's examples, every kind of port, and what is refused."""

import csv
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixpe.cli.main import main
from mixpe.ppa.competitors import load_competitor, load_competitors
from mixpe.ppa.designs import job, outside
from mixpe.ppa.measure import measure
from mixpe.ppa.outside_stimulus import outside_stimulus
from mixpe.ppa.record import Record
from mixpe.spec.errors import UserError
from mixpe.synth.simulate.gates import GateError
from verif.libraries.timed import TIMED, tabled

PAGE = Path(__file__).parents[2] / "docs" / "competitors.md"


def example(folder: Path) -> None:
    """Writes the files of the page: each block of code with the name that stands before it."""
    text = PAGE.read_text()
    for name in ("mac.v", "mac.toml", "my_elements.py"):
        found = re.search(rf"`{name}`[^`]*\n\n```\w+\n(.*?)```", text, re.DOTALL)
        assert found, name
        (folder / name).write_text(found[1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files and a small library, which is the current one."""
    example(tmp_path)
    (tmp_path / "timed.lib").write_text(tabled(TIMED))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_elements", raising=False)
    return tmp_path


def test_the_page_as_written(folder, monkeypatch, capsys):
    """Both examples stand in the table with area, period and energy."""
    monkeypatch.setattr(
        "mixpe.ppa.measure.SHARES", {"pe": ()}
    )  # the small library is too small for more points
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    arguments = ("--competitor", "mac.toml", "--competitor", "my_elements:TwoLanes", "--lib", "timed.lib")
    files = ("--jobs", "1", "--csv", "all.csv", "--baseline", "mac")
    monkeypatch.setattr(sys, "argv", ["mixpe", "ppa", *arguments, *files])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert end.value.code == 0, err
    with open("all.csv") as file:
        one, two = csv.DictReader(file)
    assert (one["design"], two["design"]) == ("mac", "two_lanes")
    assert one["title"] == "W4A8 multiply-accumulate, plain Verilog"
    for row in (one, two):
        assert row["role"] == "competitor"
        for figure in ("area_per_mac_um2", "min_period_ns", "energy_pj_per_mac"):
            assert float(row[figure]) > 0
    # A register of 19 bits is the least of it, and two lanes share it.
    assert float(one["area_per_mac_um2"]) > 190
    assert float(two["area_per_mac_um2"]) < float(one["area_per_mac_um2"])
    assert re.search(r"^ +mac +[\d,.]+ +[\d.]+ +[\d.]+ +1\.00x", out, re.MULTILINE), out
    assert "mac with timed" in err


def measured(source: str, folder: Path) -> Record:
    design = outside(load_competitor(source))
    (record,) = measure(job(design, "timed", [folder / "timed.lib"], (None,)))
    assert isinstance(record, Record)
    return record


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(own)}" for key, own in value.items()) + "}"
    return json.dumps(value)


def description(folder: Path, text: str, **changes: Any) -> str:
    """Writes Verilog and its description, that of the page with `changes`; returns the latter's path."""
    fields: dict[str, Any] = {
        "role": "W4A8",
        "verilog": ["other.v"],
        "top": "mac",
        "ports": {"weights": "w", "activations": "x", "sum": "total"},
    }
    fields = {key: value for key, value in (fields | changes).items() if value is not None}
    (folder / "other.v").write_text(text)
    (folder / "other.toml").write_text("".join(f"{key} = {toml(own)}\n" for key, own in fields.items()))
    return str(folder / "other.toml")


HEAD = "input clk, input signed [3:0] w, input signed [7:0] x, output reg signed [18:0] total"
PORTS = {"weights": "w", "activations": "x", "sum": "total"}
KINDS = {
    "no mark": (
        f"module mac({HEAD}); always @(posedge clk) total <= total + w * x; endmodule",
        {},
    ),
    "clear and a reset that is active low": (
        f"""module mac({HEAD}, input clear, input nreset);
        always @(posedge clk) total <= !nreset ? 19'sd77 : clear ? 19'sd0 : total + w * x; endmodule""",
        {"ports": PORTS | {"clear": "clear", "reset": "nreset"}, "reset_active": "low"},
    ),
    "valid and last, with operand registers": (
        f"""module mac({HEAD}, input valid, input last);
        reg signed [3:0] v; reg signed [7:0] y; reg on, end_; reg signed [18:0] sum = 0;
        wire signed [18:0] next = sum + v * y;
        always @(posedge clk) begin
          v <= w; y <= x; on <= valid; end_ <= last;
          if (on) sum <= end_ ? 19'sd0 : next;
          if (end_) total <= next;
        end endmodule""",
        {"ports": PORTS | {"valid": "valid", "last": "last"}, "latency": 2},
    ),
    "a parameter, a constant and a wide sum": (
        """module mac #(parameter BITS = 8) (input clock, input first, input [1:0] mode,
        input signed [3:0] w, input signed [7:0] x, output reg signed [BITS-1:0] total);
        always @(posedge clock) total <= mode == 2 ? (first ? w * x : total + w * x) : 0; endmodule""",
        {
            "ports": PORTS | {"first": "first", "clock": "clock"},
            "parameters": {"BITS": 24},
            "constants": {"mode": 2},
        },
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_ports(kind, folder):
    """The simulation compares every sum: a stimulus that means something else would give none."""
    text, changes = KINDS[kind]
    assert measured(description(folder, text, **changes), folder).energy_pj_per_mac > 0


def test_a_wrong_sum_is_found(folder):
    text, _ = KINDS["no mark"]
    with pytest.raises(GateError, match="compute wrong results: port word in cycle"):
        measured(description(folder, text.replace("w * x", "w * x + 1")), folder)
    with pytest.raises(GateError, match="compute wrong results: port word in cycle"):
        measured(description(folder, text, latency=2), folder)
    record = measured(description(folder, text.replace("w * x", "w * x + 1"), exact=False), folder)
    assert record.operands.endswith("groups, sums not compared")


@pytest.mark.parametrize(("role", "bits"), [("W4A16", 32), ("W4A16", 16), ("FP16", 32)])
def test_stimulus_of_floating_point(role, bits, folder):
    """The sums that are expected, computed again with NumPy's own arithmetic."""
    width = 16 if role == "FP16" else 4
    text = f"""module mac(input clk, input start, input [{width - 1}:0] w, input [15:0] x,
    output reg [{bits - 1}:0] total); always @(posedge clk) total <= w + x; endmodule"""
    made = load_competitor(description(folder, text, role=role, ports=PORTS | {"first": "start"}))
    given = outside_stimulus(made)
    weights, acts = (np.array(given.inputs[name]) for name in ("weights", "activations"))
    x = acts.astype(np.uint16).view(np.float16)
    w = weights.astype(np.uint16).view(np.float16) if role == "FP16" else ((weights + 8) % 16 - 8)
    starts = np.flatnonzero(given.inputs["first"])
    kind = np.float32 if bits == 32 else np.float16
    for start, (cycle, code) in zip(starts, given.expected["word"], strict=True):
        total = kind(0)
        for at in range(start, cycle):
            total = kind(np.float64(total) + np.float64(w[at]) * np.float64(x[at]))
        assert int(total.view(f"u{bits // 8}")) == code


def test_the_page_s_element_with_a_changed_formula(folder):
    """Other Verilog is another design for the cache."""
    first = outside(load_competitor("mac.toml"))
    (folder / "mac.v").write_text((folder / "mac.v").read_text().replace("19'sd0", "19'sd1"))
    assert repr(outside(load_competitor("mac.toml"))) != repr(first)


GOOD = KINDS["no mark"][0]
START = GOOD.replace("input clk,", "input clk, input start,")


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (GOOD, {"role": None}, "the field role is missing"),
        (GOOD, {"ports": None}, "the field ports is missing"),
        (GOOD, {"top": None}, "the field top is missing"),
        (GOOD, {"verilog": None}, "the field verilog is missing"),
        (GOOD, {"colour": "red"}, "unknown field 'colour', must be one of name, title, role, lanes, group"),
        (GOOD, {"role": "W9A8"}, "role must be INT8, FP16 or W<2 to 8>A<4 to 16>"),
        (GOOD, {"role": "W4A3"}, "not 'W4A3'"),
        (GOOD, {"role": 4}, "role must be text, not 4"),
        (GOOD, {"name": "My Mac"}, "name must be a lower-case letter followed by"),
        (GOOD, {"lanes": 3}, "lanes must be one of 1, 2, 4, 8, not 3"),
        (GOOD, {"lanes": True}, "lanes must be an integer, not True"),
        (GOOD, {"group": 0}, "group must be 1 to 16777215, not 0"),
        (GOOD, {"latency": -1}, "latency must be 0 to 64, not -1"),
        (GOOD, {"exact": 1}, "exact must be true or false, not 1"),
        (GOOD, {"reset_active": "up"}, "reset_active must be high or low, not 'up'"),
        (GOOD, {"verilog": "other.v"}, "verilog must be a list of file names, not 'other.v'"),
        (GOOD, {"verilog": ["none.v"]}, "none.v cannot be read: No such file or directory"),
        (GOOD, {"top": "a b"}, "top must be the name of a module, not 'a b'"),
        (GOOD, {"top": "max"}, "Yosys failed: Module `max' not found"),
        (GOOD.replace("endmodule", ""), {}, "Yosys failed: syntax error"),
        (
            GOOD,
            {"ports": PORTS | {"colour": "w"}},
            "ports: unknown port 'colour', must be one of clock, weights",
        ),
        (GOOD, {"ports": {"weights": "w", "sum": "total"}}, "ports: activations is missing"),
        (GOOD, {"ports": PORTS | {"sum": "w"}}, "ports: one name must not stand for two ports"),
        (
            GOOD,
            {"ports": PORTS | {"first": "a", "clear": "b"}},
            "begins with first or with clear, not with both",
        ),
        (
            GOOD,
            {"ports": PORTS | {"sum": "y"}},
            "sum is called 'y', but the module's ports are clk, w, x, total",
        ),
        (
            GOOD,
            {"ports": {"weights": "w", "activations": "total", "sum": "x"}},
            "port total (activations) must be an input, not an output",
        ),
        (GOOD, {"role": "INT8"}, "port w (weights) must be 8 bits wide (INT8, 1 lanes), not 4"),
        (GOOD, {"group": 4096}, "sum must be at least 24 bits wide for W4A8 in groups of 4096, not 19"),
        (START, {}, "the input start has no role: name it under ports, or give it a value under constants"),
        (START, {"constants": {"start": 2}}, "constants: start has 1 bits, too few for 2"),
        (START, {"constants": {"start": "0"}}, "constants: start must be an integer, not '0'"),
        (GOOD, {"constants": {"w": 1}}, "constants: w is no input that is free"),
    ],
)
def test_refused(text, changes, message, folder):
    source = description(folder, text, **changes)
    with pytest.raises(UserError) as error:
        load_competitor(source)
    assert str(error.value).startswith(f"competitor {source}: "), error.value
    assert message in str(error.value)
    assert "\n" not in str(error.value)


CLASS = """
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
class Plain: pass
class Bare(wiring.Component):
    w: In(4)
    def elaborate(self, platform): raise NotImplementedError
class Needs(Bare):
    competitor = {"role": "W4A8", "ports": {"weights": "w", "activations": "x", "sum": "total"}}
    def __init__(self, size): super().__init__()
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bad_elements:None_", "module bad_elements has no class None_"),
        ("bad_elements:Plain", "Plain must be a class derived from amaranth.lib.wiring.Component"),
        ("bad_elements:Bare", "Bare must have a dict 'competitor' with the fields of its description"),
        ("bad_elements:Needs", "Needs() cannot be converted to Verilog: TypeError: "),
        (
            "broken_elements:X",
            "module broken_elements cannot be imported: ZeroDivisionError: division by zero",
        ),
        ("no_such_module:X", "module no_such_module cannot be imported: ModuleNotFoundError: "),
    ],
)
def test_classes_refused(source, message, folder, monkeypatch):
    (folder / "bad_elements.py").write_text(CLASS)
    (folder / "broken_elements.py").write_text("1 / 0")
    monkeypatch.delitem(sys.modules, "bad_elements", raising=False)
    with pytest.raises(UserError) as error:
        load_competitor(source)
    assert str(error.value).startswith(f"competitor {source}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("folder")
def test_sources_that_are_none():
    for source in ("mac.v", "", "a:b:c", "mac"):
        with pytest.raises(UserError, match=r"^--competitor must be a \.toml file or a class such as"):
            load_competitor(source)
    Path("cut.toml").write_text("role = ")
    with pytest.raises(UserError, match=r"^competitor cut\.toml is not TOML: "):
        load_competitor("cut.toml")
    for taken in (["mac"], []):
        with pytest.raises(UserError, match="name 'mac' is taken: give it another"):
            load_competitors(["mac.toml", "mac.toml"], taken)


def test_the_description_is_what_is_kept(folder):
    """A design knows all that its measurement depends on: no path, and no memory address."""
    one = load_competitor("mac.toml")
    assert str(folder) not in repr(one)
    assert repr(one) == repr(replace(one))
