"""Mapping: adder cells, flip-flops and buffers found by what they compute, on a library of a few cells."""

import re
from collections import Counter
from pathlib import Path

import pytest

from mixpe.gen.verilog import convert
from mixpe.gen.write import design_verilog
from mixpe.hw.element.datapath import compression
from mixpe.hw.element.integer import ArrayElement
from mixpe.spec.array import DATAPATHS, Config
from mixpe.spec.errors import UserError
from mixpe.synth.adders import FULL, HALF, find_adders
from mixpe.synth.buffers import SINKS, buffer_signals, find_buffer
from mixpe.synth.cells import CellModels
from mixpe.synth.mapping import Mapper, Way
from mixpe.synth.registers import costly_registers
from mixpe.synth.yosys import SynthesisError
from verif.libraries.timed import (
    CLK_TO_Q,
    CLOCK_PIN,
    D_PIN,
    HEAD,
    LOGIC,
    REGISTER,
    SETUP_ARC,
    arc,
    cell,
    library_of,
    output,
    pin,
)


def adder(name: str, area: float, total: str, carry: str, pins: str = "ABC") -> str:
    """A cell with an output for the sum and one for the carry."""
    arcs = "".join(arc(own, 0.2) for own in pins)
    inputs = "".join(pin(own) for own in pins)
    return cell(name, area, inputs + output("S", total, arcs) + output("CO", carry, arcs))


MAJORITY = "(A&B)|(A&C)|(B&C)"
FULL_ADDER = adder("FULL", 9, "A^B^C", MAJORITY)
INVERTED = adder("FULLN", 7, "!(A^B^C)", f"!({MAJORITY})")
NOT_CARRY_IN = adder("FULLCI", 7.5, "A^B^!C", "(A&B)|(A&!C)|(B&!C)")
HALF_ADDER = adder("HALF", 5, "A^B", "A&B", "AB")
NO_ADDER = adder("ALMOST", 1, "A^B^C", "(A&B)|C")
INVERTING = cell(
    "DFFN",
    8,
    'ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }\n'
    + pin("D", D_PIN, SETUP_ARC)
    + pin("C", CLOCK_PIN, "clock : true;")
    + output("QN", "IQN", arc("C", CLK_TO_Q, "timing_type : rising_edge; ")),
)


def library(folder: Path, extra: str = "", registers: str = REGISTER):
    text = HEAD + LOGIC + registers + extra + "}\n"
    # ABC knows no scalar tables, and does without any.
    text = re.sub(r"(timing|internal_power) \(\) \{(?:[^{}]|\{[^{}]*\})*\}", "", text)
    return library_of(folder, text)


def models(folder: Path, extra: str = "", registers: str = REGISTER):
    own = library(folder, extra, registers)
    return own, CellModels(own, folder, folder / "cells.log")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", {}),
        (NO_ADDER, {}),
        (FULL_ADDER + NO_ADDER, {FULL: "FULL"}),
        # 7 and two inverters of 1 make 9: the tie goes to the name.
        (FULL_ADDER + INVERTED, {FULL: "FULL"}),
        (FULL_ADDER + NOT_CARRY_IN, {FULL: "FULLCI"}),
        (INVERTED + HALF_ADDER, {FULL: "FULLN", HALF: "HALF"}),
    ],
)
def test_adders_are_found_by_function(extra, expected, tmp_path):
    found = find_adders(*models(tmp_path, extra))
    assert {kind: adder.cell for kind, adder in found.items()} == expected


def test_inverting_flip_flop_is_taken_where_it_is_smaller(tmp_path):
    assert costly_registers(*models(tmp_path)) == []
    assert costly_registers(*models(tmp_path, INVERTING)) == ["DFF"]
    assert costly_registers(*models(tmp_path, INVERTING.replace("area : 8", "area : 10"))) == []
    assert costly_registers(*models(tmp_path, registers=INVERTING)) == []


def element(folder: Path, config: Config) -> Path:
    path = folder / "element.v"
    path.write_text(convert(config.name, lambda modules: ArrayElement(config, modules)))
    return path


@pytest.mark.parametrize("extra", [FULL_ADDER, INVERTED, NOT_CARRY_IN], ids=["plain", "inverted", "carry in"])
def test_adder_cells_stand_for_the_full_adders(extra, tmp_path):
    """Each full adder of the Verilog becomes a cell, but for those of the top column, which are gates."""
    config = Config(name="pe", datapath="bit_heap")
    mapper = Mapper(element(tmp_path, config), "pe", library(tmp_path, extra), tmp_path, tmp_path / "log")
    gates, cells = mapper.map([Way("area"), Way("area", "full")])
    name = mapper.adders[FULL].cell
    found = compression(config)
    assert found is not None
    assert name not in gates.cells["pe"].by_type
    assert cells.cells["pe"].by_type[name] == found.full_adders - 2 == 30
    assert cells.cells["pe"].area_adders == pytest.approx(30 * mapper.adders[FULL].area)
    assert gates.cells["pe"].registers == cells.cells["pe"].registers == 8 + 4 + 19 + 1


def test_both_multipliers_are_offered(tmp_path):
    config = Config(name="pe", datapath="multiplier", weight_bits=8)
    mapper = Mapper(element(tmp_path, config), "pe", library(tmp_path), tmp_path, tmp_path / "log")
    assert mapper.multiplies
    booth, other = mapper.map([Way("area"), Way("area", booth=False)])
    assert booth.cells["pe"].by_type != other.cells["pe"].by_type


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_every_datapath_maps(datapath, tmp_path):
    config = Config(name="pe", datapath=datapath, weight_bits=3, act_bits=4, lanes=2, group=6)
    own = library(tmp_path, FULL_ADDER + HALF_ADDER)
    mapper = Mapper(element(tmp_path, config), "pe", own, tmp_path, tmp_path / "log")
    (mapping,) = mapper.map([Way("area", "all" if mapper.adders else "none")])
    assert mapping.cells["pe"].registers == 2 * 4 + 2 * config.weight_wires + config.drain_bits + 1


def netlist(sinks: int) -> dict:
    """A module whose input i drives `sinks` inverters, and a module that places two of it."""
    cells = {
        f"inv{number}": {"type": "INV", "connections": {"A": [3], "Y": [10 + number]}}
        for number in range(sinks)
    }
    ports = {"clk": {"direction": "input", "bits": [2]}, "i": {"direction": "input", "bits": [3]}}
    pair = {f"u{number}": {"type": "many", "connections": {"clk": [2], "i": [3]}} for number in range(2)}
    clocked = {
        f"r{number}": {"type": "DFF", "connections": {"C": [2], "D": [3], "Q": [90 + number]}}
        for number in range(SINKS + 5)
    }
    return {
        "modules": {
            "many": {"ports": ports, "cells": cells},
            "pair": {"ports": ports, "cells": pair},
            "clocked": {"ports": ports, "cells": clocked},
        }
    }


@pytest.mark.parametrize("sinks", [1, SINKS, SINKS + 1, SINKS**2, SINKS**2 + 1, 1000])
def test_signals_with_many_sinks_are_buffered(sinks, tmp_path):
    own, cells = models(tmp_path)
    buffer = find_buffer(own, cells)
    assert (buffer.cell, buffer.input, buffer.output) == ("BUF", "A", "Y")
    design = netlist(sinks)
    buffer_signals(design, buffer, cells)
    inside = design["modules"]["many"]["cells"]
    loads = Counter(cell["connections"]["A"][0] for cell in inside.values())
    assert max(loads.values()) <= SINKS
    # From every inverter back to the input, through buffers only.
    drivers = {cell["connections"]["Y"][0]: cell["connections"]["A"][0] for cell in inside.values()}
    for number in range(sinks):
        net = inside[f"inv{number}"]["connections"]["A"][0]
        while net != 3:
            net = drivers[net]
    assert len(design["modules"]["pair"]["cells"]) == 2
    clocked = [own["connections"] for own in design["modules"]["clocked"]["cells"].values()]
    assert {own["C"][0] for own in clocked if "C" in own} == {2}


def test_library_without_buffer(tmp_path):
    own, cells = models(tmp_path)
    without = type(own)(own.name, own.files)
    without.__dict__["cells"] = {name: cell for name, cell in own.cells.items() if name != "BUF"}
    with pytest.raises(UserError, match="library timed has no buffer"):
        find_buffer(without, cells)


def test_combinational_loop_is_named(tmp_path):
    source = tmp_path / "loop.v"
    source.write_text("module loop(input a, output y); assign y = ~(a & y); endmodule\n")
    with pytest.raises(SynthesisError, match="loop"):
        Mapper(source, "loop", library(tmp_path), tmp_path, tmp_path / "log")


def test_missing_verilog(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.v cannot be read"):
        Mapper(tmp_path / "nothing.v", "x", library(tmp_path), tmp_path, tmp_path / "log")


def test_netlists_are_hierarchical_where_asked(tmp_path):
    config = Config(name="pair", rows=2, cols=2, group=4, act_bits=4)
    source = tmp_path / "source.v"
    source.write_text(design_verilog(config))
    mapper = Mapper(source, "pair", library(tmp_path), tmp_path, tmp_path / "log", hierarchy=True)
    (mapping,) = mapper.map([Way("area")])
    assert {"pair", "pair_pe", "pair_column"} <= set(mapping.cells)
    assert mapper.instances["pair_pe"] == 4
    text = mapping.netlist.read_text()
    assert text.count("module pair_pe(") == 1
