"""Clock gates: found in Liberty files, placed for words with an enable, and nowhere else."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mixpe.cli.synth import synth
from mixpe.gen.write import Design
from mixpe.spec.array import Config
from mixpe.support.data import find_library
from mixpe.support.files import write_file
from mixpe.synth.buffers import SINKS, buffer_signals, find_buffer
from mixpe.synth.cells import CellModels
from mixpe.synth.clock_gates import LEAST, ClockGate, find_gate
from mixpe.synth.flow import Recipe, synthesize
from mixpe.synth.liberty import Library, read_library
from mixpe.synth.mapping import Mapper, Mapping, Way
from mixpe.synth.report import records, table
from mixpe.synth.simulate.gates import GateSimulation, Stimulus
from mixpe.synth.timing import analyze_timing
from verif.libraries.timed import HEAD, LOGIC, REGISTER, clock_gate, library_of, pin, tabled
from verif.samples.data import libraries

GATE_AREA = 6.5
GATE = clock_gate("ICG", GATE_AREA)
TEST_PIN = pin("SE", extra="clock_gate_test_pin : true;")


def library(folder: Path, gates: str = GATE) -> Library:
    return library_of(folder, tabled(HEAD + LOGIC + REGISTER + gates + "}\n"))


# Found in Liberty files


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ("", None),
        (GATE, "ICG"),
        (GATE + clock_gate("SMALL", 6.25, extra="dont_use : true;"), "SMALL"),
        (clock_gate("A", 6, "latch_posedge_precontrol", TEST_PIN) + clock_gate("B", 6), "B"),
        (clock_gate("A", 6, '"latch_posedge_postcontrol"', TEST_PIN) + clock_gate("B", 7), "A"),
        (GATE + clock_gate("FALLING", 1, "latch_negedge"), "ICG"),
        (GATE + clock_gate("BARE", 1, "none_posedge"), "ICG"),
        (GATE + clock_gate("OTHER", 1, extra=pin("X")), "ICG"),
        (clock_gate("BARE", 1, "none_posedge"), None),
    ],
)
def test_the_least_gate_that_serves_is_found(gates: str, expected: str | None, tmp_path: Path) -> None:
    own = library(tmp_path, gates)
    found = find_gate(own)
    assert (found.cell if found else None) == expected
    kinds = {cell.name: cell.kind for cell in own.cells.values()}
    assert [kinds.pop(name) for name in ("INV", "DFF")] == ["logic", "register"]
    assert {kind for name, kind in kinds.items() if f"({name})" in gates} <= {"clock gate"}


def test_pins_of_a_gate(tmp_path: Path) -> None:
    own = library(tmp_path, clock_gate("ICG", GATE_AREA, "latch_posedge_precontrol", TEST_PIN))
    gate = ClockGate("ICG", GATE_AREA, clock="CK", enable="EN", output="GCK", tests=("SE",))
    assert find_gate(own) == gate
    models = CellModels(own, tmp_path, tmp_path / "cells.log")
    assert "ICG" in models
    assert (models["ICG"].inputs, models["ICG"].outputs) == (("CK", "EN", "SE"), {"GCK": gate})


REAL = {
    "sky130hd": ("sky130_fd_sc_hd__dlclkp_1", "CLK", "GATE", "GCLK", ()),
    "sg13g2": ("sg13g2_lgcp_1", "CLK", "GATE", "GCLK", ()),
    "asap7": ("ICGx1_ASAP7_75t_R", "CLK", "ENA", "GCLK", ("SE",)),
}


@pytest.mark.parametrize("name", libraries(REAL))
def test_gates_of_the_known_libraries(name: str, tmp_path: Path) -> None:
    own = read_library(name, find_library(name), tmp_path)
    gate = find_gate(own)
    assert gate is not None
    assert (gate.cell, gate.clock, gate.enable, gate.output, gate.tests) == REAL[name]
    assert gate.area == own.cells[gate.cell].area


# Placed in designs

WORD = """module t(input clk, e, input [{msb}:0] a, output reg [{msb}:0] y);
  always @({edge} clk) if ({enable}) y <= a;
endmodule
"""


# One enable, but each half of the word is let change by a reset of its own too.
TWO_RESETS = f"""module t(input clk, e, c, d, input [{2 * LEAST - 3}:0] a, output reg [{2 * LEAST - 3}:0] y);
  always @(posedge clk) begin
    if (c) y[{LEAST - 2}:0] <= 0; else if (e) y[{LEAST - 2}:0] <= a[{LEAST - 2}:0];
    if (d) y[{2 * LEAST - 3}:{LEAST - 1}] <= 0;
    else if (e) y[{2 * LEAST - 3}:{LEAST - 1}] <= a[{2 * LEAST - 3}:{LEAST - 1}];
  end
endmodule
"""


def word(bits: int, enable: str = "e", edge: str = "posedge") -> str:
    return WORD.format(msb=bits - 1, enable=enable, edge=edge)


def mapped(folder: Path, own: Library, text: str, *ways: Way) -> list[Mapping]:
    (folder / "source.v").write_text(text)
    return Mapper(folder / "source.v", "t", own, folder, folder / "log").map(ways or [Way("area")])


def test_a_word_with_an_enable_gets_one_gate_and_no_multiplexer(tmp_path: Path) -> None:
    (found,) = mapped(tmp_path, library(tmp_path), word(8))
    cells = found.cells["t"]
    assert cells.by_type == {"DFF": 8, "ICG": 1}
    assert (cells.registers, cells.clock_gates, cells.logic) == (8, 1, 0)
    assert (cells.area, cells.area_clock_gates, cells.area_logic) == (8 * 10 + GATE_AREA, GATE_AREA, 0)
    (inverted,) = mapped(tmp_path, library(tmp_path), word(8, "!e"))
    assert inverted.cells["t"].by_type == {"DFF": 8, "ICG": 1, "INV": 1}


def test_test_pins_are_tied_low(tmp_path: Path) -> None:
    own = library(tmp_path, clock_gate("ICG", GATE_AREA, "latch_posedge_precontrol", TEST_PIN))
    (found,) = mapped(tmp_path, own, word(8))
    assert ".SE(1'b0)" in found.netlist.read_text()


def test_short_words_and_falling_edges_keep_multiplexers(tmp_path: Path) -> None:
    own = library(tmp_path)
    for text, gates in (
        (word(LEAST), 1),
        (word(LEAST - 1), 0),
        (word(8, edge="negedge"), 0),
        (TWO_RESETS, 0),
    ):
        (found,) = mapped(tmp_path, own, text)
        assert found.cells["t"].clock_gates == gates
        assert (found.cells["t"].logic == 0) == (gates == 1)


def test_without_gates_netlists_are_as_if_the_library_had_none(tmp_path: Path) -> None:
    """Bit for bit, by switch or for lack of a cell."""
    netlists = []
    for name, gates, way in (
        ("switched", GATE, Way("area", clock_gates=False)),
        ("absent", "", Way("area")),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (found,) = mapped(folder, library(folder, gates), RESETS, way)
        assert found.cells["t"].clock_gates == 0
        netlists.append(found.netlist.read_text())
    assert netlists[0] == netlists[1]


def test_a_design_without_enables_is_left_as_it_is(tmp_path: Path) -> None:
    """Yosys gets the very commands that it gets without gates."""
    scripts = []
    for enable, gates in (("1", True), ("1", False), ("e", True)):
        mapped(tmp_path, library(tmp_path), word(8, enable), Way("area", clock_gates=gates))
        scripts.append((tmp_path / "script.ys").read_text().replace("_gates.il", "_multiplexers.il"))
    assert scripts[0] == scripts[1] != scripts[2]


# Every kind of register that an enable may stop: reset whatever the enable is, only with it, or not at all;
# a memory, and words whose enables depend on each other.
RESETS = """module t(input clk, clear, e, f, input [3:0] a, output reg [3:0] p, q, r, s, output [3:0] m);
  reg [3:0] memory [0:3];
  assign m = memory[a[1:0]];
  always @(posedge clk) begin
    if (clear) p <= 4'd9; else if (e) p <= a;
    if (e) begin if (clear) q <= 4'd6; else q <= a; end
    if (e & !f) r <= p + a;
    if (f) s <= q ^ r;
    if (f) memory[a[3:2]] <= s;
  end
endmodule
"""


def test_gated_registers_compute_the_same(tmp_path: Path) -> None:
    """Reset, enables and memory, against a model of the Verilog, for one clock just long enough."""
    own = library(tmp_path)
    gated, plain = mapped(tmp_path, own, RESETS, Way("area"), Way("area", clock_gates=False))
    assert (gated.cells["t"].clock_gates, plain.cells["t"].clock_gates) == (8, 0)
    rng = np.random.default_rng(7)
    cycles = 200
    inputs = {name: (rng.random(cycles) < 0.3).astype(int).tolist() for name in ("clear", "e", "f")}
    inputs["a"] = rng.integers(0, 16, cycles).tolist()
    # All words, and the memory's, are written first: what registers hold at first is not promised.
    inputs["clear"][:20], inputs["e"][:20] = [0] * 20, [1] * 20
    inputs["f"][:20], inputs["a"][:20] = [0, 1] * 10, [index // 2 % 4 * 5 for index in range(20)]
    p = q = r = s = 0
    memory = [0] * 4
    expected: dict[str, list[tuple[int, int]]] = {name: [] for name in "pqrsm"}
    for cycle, (clear, e, f, a) in enumerate(zip(*inputs.values(), strict=True)):
        if cycle >= 20:
            for name, value in zip("pqrsm", (p, q, r, s, memory[a % 4]), strict=True):
                expected[name].append((cycle, value))
        written = s
        p, q, r, s = (
            9 if clear else a if e else p,
            (6 if clear else a) if e else q,
            (p + a) % 16 if e and not f else r,
            q ^ r if f else s,
        )
        if f:
            memory[a // 4] = written
    for found in (gated, plain):
        sdf, log = tmp_path / "delays.sdf", tmp_path / "sta.log"
        timing = analyze_timing(found.netlist, "t", own, tmp_path, log, sdf=sdf)
        simulation = GateSimulation(found.netlist, "t", own, sdf, tmp_path / "gates")
        simulation.run(Stimulus(inputs, expected=expected), timing.min_period_ns * 1.05)


def test_gated_clocks_get_no_buffers(tmp_path: Path) -> None:
    own = library(tmp_path)
    models = CellModels(own, tmp_path, tmp_path / "cells.log")
    gate = {"g": {"type": "ICG", "connections": {"CK": [2], "EN": [3], "GCK": [4]}}}
    sinks = {
        f"r{number}": {"type": "DFF", "connections": {"C": [4], "D": [3], "Q": [90 + number]}}
        for number in range(SINKS + 5)
    }
    ports = {"clk": {"direction": "input", "bits": [2]}, "i": {"direction": "input", "bits": [3]}}
    module = {"ports": ports, "cells": gate | sinks}
    buffer_signals({"modules": {"t": module}}, find_buffer(own, models), models)
    clocked = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "DFF"]
    assert {connections["C"][0] for connections in clocked} == {4}
    assert {connections["D"][0] for connections in clocked} & {3} == set()


# Reported


def test_command_without_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch of `mixpe synth`, on if not given; the caption names what was used."""
    (tmp_path / "own.lib").write_text(tabled(HEAD + LOGIC + REGISTER + GATE + "}\n"))

    def write_word(config: Config, out_dir: Path) -> Design:
        verilog = write_file(out_dir / "word.v", word(8).replace("module t(", f"module {config.name}("))
        return Design(verilog, out_dir / "manifest.json", out_dir / "word_inst.v", out_dir / "word.core")

    monkeypatch.setattr("mixpe.cli.synth.write_design", write_word)
    for switch, cell in ((["--no-clock-gates"], None), ([], "ICG")):
        options = [*switch, "--lib", str(tmp_path / "own.lib"), "--out-dir", str(tmp_path)]
        done = CliRunner().invoke(synth, options, catch_exceptions=False)
        assert done.exit_code == 0
        assert ("clock gates, ICG" if cell else "enables are multiplexers ") in done.output
        top = json.loads((tmp_path / "synth.json").read_text())[-1]
        assert (top["clock_gate"], top["recipe"]["clock_gates"]) == (cell, not switch)
        assert top["cells_by_type"].get("ICG", 0) == top["cells_clock_gates"] == (1 if cell else 0)


def test_counts_and_reports_of_synthesis(tmp_path: Path) -> None:
    """`mixpe synth` counts gates apart, and says where a library has none."""
    (tmp_path / "source.v").write_text(word(8))
    for name, gates, recipe, cells, caption in (
        ("with", GATE, Recipe(), {"DFF": 8, "ICG": 1}, f"enables of {LEAST} registers or more are clock"),
        ("off", GATE, Recipe(clock_gates=False), None, "enables are multiplexers"),
        ("none", "", Recipe(), None, "enables are multiplexers: timed has no clock gate"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        own = library(folder, gates)
        found = synthesize(tmp_path / "source.v", "t", [], folder, folder / "log", library=own, recipe=recipe)
        assert found.clock_gate == ("ICG" if cells else "")
        counted = found.cells["t"]
        assert counted.clock_gates == (1 if cells else 0)
        assert (counted.by_type == cells) == bool(cells)
        assert counted.registers == 8
        assert (counted.logic == 0) == bool(cells)
        (record,) = records(Config(name="t"), found, own, recipe)
        assert record["clock_gate"] == ("ICG" if cells else None)
        assert record["recipe"]["clock_gates"] == (name != "off")
        assert record["area_clock_gates_um2"] == (GATE_AREA if cells else 0)
        assert str(table([record]).caption).startswith(caption)
