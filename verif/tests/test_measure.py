"""Whole measurements: every design can be made and driven; the areas promised for the real libraries."""

import re

import numpy as np
import pytest

from mixpe.ppa.designs import DESIGNS, QUICK, job, own
from mixpe.ppa.elements import full_adders, make, stimulus
from mixpe.ppa.measure import measure
from mixpe.spec.array import DATAPATHS, Config
from mixpe.support.data import find_library
from verif.samples.data import libraries

# An INT8 `*` element with a 24-bit sum from Yosys alone (um2, ns), and the promised shares of its area for
# one lane and for each of four.
BASELINES = {"sky130hd": (3884, 7.7, 0.48, 0.36), "sg13g2": (7037, 6.3, 0.54, 0.42)}

FP16_MAC = 17173
"""um2 of cvfpu's FP16 + FP32 multiply-add, without registers, on sky130hd."""


def test_designs_are_told_apart():
    titles = [design.title for design in DESIGNS.values()]
    assert len(set(titles)) == len(titles)
    assert set(QUICK) <= set(DESIGNS)
    assert {DESIGNS[name].config.datapath for name in QUICK} == set(DATAPATHS)
    ours = [design for design in DESIGNS.values() if design.role == "mixpe"]
    assert {design.config.weight_bits for design in ours} == {4}
    assert {design.built.element for design in ours} == {"pe", "array"}
    assert "multiplier" not in {design.config.datapath for design in ours}


@pytest.mark.parametrize("name", [name for name, design in DESIGNS.items() if design.kind == "pe"])
def test_elements_and_operands_fit(name):
    """The stimulus drives every input port of the Verilog, with values that fit."""
    design = DESIGNS[name]
    made = make(design)
    given = stimulus(design)
    top = made.verilog[made.verilog.index(f"module {made.top}(") :]
    inputs = {
        port: int(msb or 0) + 1
        for msb, port in re.findall(
            r"^  input (?:\[(\d+):0\] )?(\w+);", top[: top.index("endmodule")], re.MULTILINE
        )
    }
    assert set(given.inputs) == set(inputs) - {"clk", "rst"}
    for port, values in given.inputs.items():
        assert min(values) >= 0
        assert max(values) < 1 << inputs[port]
    assert len(given.expected) == 1
    assert 0.9 < given.macs / (made.macs_per_cycle * (given.cycles - given.warmup)) <= 1
    assert len({tuple(np.unique(values)) for values in given.inputs.values()}) > 1


def test_full_adders_are_at_the_floor():
    assert full_adders(DESIGNS["w4a8_bit_heap"]) == (32, 32)
    for name in ("int8_bit_heap", "w4a8_booth", "int8_booth", "w4a8_booth_l4", "w4a8_bit_heap_l4"):
        adders, floor = full_adders(DESIGNS[name])
        assert adders == floor, name
    assert full_adders(DESIGNS["w4a8_shift_add"]) == (None, None)


FLOAT = Config(rows=2, cols=1, group=16, weight_bits=2, act_format="fp8_e5m2", align_bits=8)
SMALL = Config(rows=2, cols=1, group=64, weight_bits=2, act_bits=4, datapath="carry_save")
ODD = Config(
    rows=2,
    cols=3,
    group=16,
    weight_bits=3,
    weight_signed=False,
    zero_point=True,
    token_scale=True,
    datapath="carry_save",
    out_format="fp16",
)


@pytest.mark.parametrize("library", libraries(BASELINES))
@pytest.mark.parametrize(("name", "lanes"), [("w4a8_booth", 1), ("w4a8_booth_l4", 4)])
def test_promised_area(name, lanes, library):
    area, period, one, four = BASELINES[library]
    (record,) = measure(job(DESIGNS[name], library, find_library(library), (None,)))
    assert record.min_period_ns <= period
    assert record.area_per_mac_um2 <= area * (one if lanes == 1 else four)
    assert record.area_um2 == pytest.approx(
        record.area_registers_um2
        + record.area_clock_gates_um2
        + record.area_adders_um2
        + record.area_logic_um2,
        rel=1e-4,
    )
    assert sum(record.energy_breakdown_pj.values()) == pytest.approx(record.energy_pj_per_mac, rel=1e-4)


@pytest.mark.parametrize("library", libraries(BASELINES))
def test_promised_area_of_w4a16(library):
    """A quarter of the FP16 multiply-add element, which is itself smaller than others'."""
    areas, periods = {}, {}
    for name in ("w4a16_aligned13_booth_l4", "fp16_mac_fp32"):
        (record,) = measure(job(DESIGNS[name], library, find_library(library), (None,)))
        areas[name], periods[name] = record.area_per_mac_um2, record.min_period_ns
    ours, theirs = areas
    assert areas[ours] <= 0.25 * areas[theirs]
    assert periods[ours] <= periods[theirs]
    if library == "sky130hd":
        assert areas[theirs] < FP16_MAC


@pytest.mark.parametrize("library", libraries(["sky130hd"]))
@pytest.mark.parametrize(
    "config",
    [SMALL, FLOAT, ODD],
    ids=["small", "float", "odd"],
)
@pytest.mark.nightly
def test_own_configuration(config, library):
    """Element and array of a configuration that no list has."""
    parts = []
    for design in own(config):
        (record,) = measure(job(design, library, find_library(library), (None,)))
        assert record.kind == design.kind
        assert 0 < record.energy_pj_per_mac < 1000
        assert sum(record.area_breakdown_um2.values()) == pytest.approx(record.area_um2, rel=1e-3)
        parts.append(set(record.area_breakdown_um2))
    edge = {"aligner"} if config.scheme.name == "aligned" else set()
    assert parts[1] == {"PEs", "dequantizers", "skew", "drain buses", "control"} | edge


def test_element_of_an_array_with_banks_and_clusters():
    """It stands alone: its column is no bank, and its operands' registers are its own."""
    element, array = own(Config(cols=6, share=3, cluster=2))
    assert (element.config.cols, element.config.share, element.config.cluster) == (1, 0, 1)
    assert (array.config.cols, array.config.share, array.config.cluster) == (6, 3, 2)
