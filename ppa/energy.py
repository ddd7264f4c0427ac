"""Energy of a mapped design at work: real operands, simulated gate by gate, and what its parts take of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..synth.liberty import Library
from ..synth.power import Power, analyze_power
from ..synth.simulate.gates import GateSimulation
from ..synth.timing import analyze_timing
from .designs import Design
from .elements import Made, array_bench, stimulus

_SLACK = 1.05
"""Clock period over the least one: gate delays of the simulation are those of static timing."""

# Parts of an array by the first module on an instance's path that matches; the rest is control.
_PARTS = (
    (re.compile(r"^pe\d+(_\d+)?$"), "PEs"),
    (re.compile(r"^(column|conversion)\d+$"), "dequantizers"),
    (re.compile(r"^(aligner|group_codes)$"), "aligner"),
    (re.compile(r"^(act_normal|weight_digits)\d+$"), "operand recoding"),
    (re.compile(r"^skew$"), "skew"),
    (re.compile(r"^array$"), "drain buses"),
)
ARRAY_PARTS = (
    "pe",
    "pe_below",
    "pe_beside",
    "pe_below_beside",
    "column",
    "conversion",
    "skew",
    "array",
    "pacer",
    "drain",
    "read_out",
    "aligner",
    "group_codes",
    "act_normal",
    "weight_digits",
)
"""Modules of an array's top that stay modules, so that instance paths tell what is whose."""

_WIRES = "clock and input wires"


@dataclass(frozen=True)
class Energy:
    """Energy of a design per multiply-accumulate, in pJ, leakage included; `leakage_uw` of the whole.

    by_part: pJ per MAC. area_by_part: um2. clock_ns: of the measurement. operands: what was multiplied.
    """

    pj_per_mac: float
    by_part: dict[str, float]
    area_by_part: dict[str, float]
    leakage_uw: float
    clock_ns: float
    operands: str


def measure_energy(
    design: Design,
    made: Made,
    netlist: Path,
    min_period_ns: float,
    adders: frozenset[str],
    library: Library,
    folder: Path,
) -> Energy:
    """Returns the energy of `netlist`. `adders` names the library's adder cells, `folder` takes all files.

    Raises `UserError` for gates that compute wrong results, toggle nothing or cannot be simulated.
    """
    folder.mkdir()
    log = folder / "sta.log"
    sdf = folder / "delays.sdf"
    analyze_timing(netlist, made.top, library, folder, log, sdf=sdf)
    simulation = GateSimulation(netlist, made.top, library, sdf, folder / "gates")
    clock = _SLACK * min_period_ns
    if design.kind == "array":
        bench = array_bench(design, clock)
        activity = simulation.run_bench(bench.text, bench.scope, clock, bench.start_ns, bench.end_ns)
        macs, operands = bench.macs, bench.description
    else:
        given = stimulus(design)
        activity = simulation.run(given, clock)
        macs, operands = given.macs, given.description
    power = analyze_power(netlist, made.top, library, activity, clock, folder, log)
    # Watts x ns: nJ of a cycle.
    scale = 1e3 * clock * activity.cycles / macs
    part = _array_part if design.kind == "array" else _element_part(library, adders)
    by_part, area = _by_part(power, library, part)
    by_part[_WIRES] = power.clock_port + power.input_ports
    return Energy(
        pj_per_mac=power.total * scale,
        by_part={name: watts * scale for name, watts in by_part.items()},
        area_by_part=area,
        leakage_uw=power.leakage * 1e6,
        clock_ns=clock,
        operands=operands,
    )


def _by_part(
    power: Power, library: Library, part: Callable[[str, str], str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns watts and um2 of each part, `part(path, cell)` of an instance."""
    watts: dict[str, float] = {}
    area: dict[str, float] = {}
    for path, own in power.instances.items():
        name = part(path, own.cell)
        watts[name] = watts.get(name, 0.0) + own.total
        area[name] = area.get(name, 0.0) + (library.cells[own.cell].area or 0.0)
    return watts, area


def _array_part(path: str, _cell: str) -> str:
    modules = re.split(r"[/.]", path)[:-1]  # a dissolved module's name stays before a dot
    for pattern, name in _PARTS:
        if any(pattern.match(module) for module in modules):
            return name
    return "control"


def _element_part(library: Library, adders: frozenset[str]) -> Callable[[str, str], str]:
    def part(_path: str, cell: str) -> str:
        if library.cells[cell].kind == "register":
            return "registers"
        if library.cells[cell].kind == "clock gate":
            return "clock gates"
        return "adder cells" if cell in adders else "logic"

    return part
