"""Records of measured designs with round numbers, and a reader of Markdown tables, for tests of reports."""

import re
from dataclasses import replace
from typing import Any

from mixpe.ppa.record import Built, Element, Kind, LibertySource, Record, Tools
from mixpe.spec.array import Config
from mixpe.synth.mapping import Way


def record(
    design: str,
    area: float,
    period: float,
    energy: float,
    *,
    target: float | None = None,
    macs: int = 1,
    library: str = "sky130hd",
    kind: Kind = "pe",
    element: Element | None = None,
    config: Config | None = None,
    **changes: Any,
) -> Record:
    """Returns a record; `area` in um2 of the whole design, periods in ns, `energy` in pJ per MAC.

    A `design` named int8... is a baseline, any other has 4-bit weights; ...mul... has Yosys's `*`, unless
    `config` and `element` say what it is. `changes` replace fields.
    """
    width = 8 if design.startswith("int8") else 4
    datapath = "multiplier" if "mul" in design else "bit_heap"
    lanes = macs if kind == "pe" else 1
    config = config or Config(weight_bits=width, datapath=datapath, lanes=lanes, rows=1, cols=1)
    made = Record(
        design=design,
        title=f"{design}, titled",
        role="baseline" if width == 8 else "mixpe",
        kind=kind,
        built=Built(config, element or kind),
        library=library,
        corner="tt_025C",
        voltage_v=1.8,
        temperature_c=25.0,
        target_ns=target,
        area_um2=area,
        area_registers_um2=area * 0.5,
        area_clock_gates_um2=area * 0.125,
        area_adders_um2=area * 0.25,
        area_logic_um2=area * 0.125,
        min_period_ns=period,
        critical_path="weight -> sum",
        energy_pj_per_mac=energy,
        energy_breakdown_pj={"registers": energy, "logic": 0.0},
        area_breakdown_um2={"PEs": area * 0.75, "dequantizer": area * 0.25} if kind == "array" else {},
        leakage_uw=0.02,
        macs_per_cycle=macs,
        area_per_mac_um2=area / macs,
        area_delay_um2_ns_per_mac=area / macs * period,
        energy_delay_pj_ns_per_mac=energy * period,
        full_adders=32 if datapath == "bit_heap" else None,
        full_adder_floor=31 if datapath == "bit_heap" else None,
        operands="stories260K, layer 2",
        clock_ns=10.0,
        recipe=Way("area"),
        clock_gate="ICG",
        tools=Tools("0.1.0", "0.70", "2.0.17"),
        liberty_files=(LibertySource("sky.lib.gz", "12"),),
    )
    return replace(made, **changes)


# Area x delay x energy:               12000 / 15000, 9000, 12800 / 4800, 4900, 6400 and 1.5
RECORDS = [
    record("int8_mul", 1000.0, 8.0, 1.5),
    record("int8_mul", 1500.0, 5.0, 2.0, target=5.0),
    record("int8_heap", 900.0, 10.0, 1.0),
    record("int8_heap", 1600.0, 8.0, 1.0, target=8.0),
    record("w4a8_heap", 480.0, 10.0, 1.0),
    record("w4a8_heap", 700.0, 7.0, 1.0, target=7.0),
    record("w4a8_heap_4", 1600.0, 16.0, 1.0, macs=4),
]


def section(text: str, heading: str) -> list[list[str]]:
    """Returns the cells of the first table below a heading, without its rules."""
    below = text.split(f"{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()]
    return [rows[0], *rows[2:]]
