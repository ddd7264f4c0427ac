"""Measures one design with one library: the points of its area-delay curve, each with its energy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..spec.errors import UserError
from ..support.folders import temporary_folder
from ..synth.liberty import Library, read_library
from ..synth.mapping import ADDER_CELLS, Mapper, Mapping, Way
from ..synth.timing import Timing, analyze_timings
from .cores import liberty_sources, measure_core, rounded, used_tools
from .designs import SHARES, CoreDesign, Design
from .elements import Made, full_adders, make
from .energy import ARRAY_PARTS, Energy, measure_energy
from .jobs.job import Job
from .operands import operand_files
from .record import AnyRecord, Record

# ABC sees gates only: of a period, registers take about this share.
_GATES_SHARE = 0.85

# Scripts of ABC that are tried for area and towards a period; few for an array, whose netlists are large.
_AREA = {"pe": ("area", "area-structure", "area-gates"), "array": ("area",)}
_TIMED = {"pe": ("area-sized", "flow-sized", "delay-sized"), "array": ("area-sized",)}


@dataclass(frozen=True)
class Candidate:
    """A netlist with its timing."""

    mapping: Mapping
    timing: Timing
    area: float


def measure(job: Job) -> list[AnyRecord]:
    """Returns a record for each target of `job`, and one for a core. Raises `UserError`.

    For each target the netlist of least area that keeps it is taken, from all ways to map that were tried,
    or, where none keeps it, the fastest.
    """
    design = job.design
    try:
        if isinstance(design, CoreDesign):
            return [measure_core(design, job)]
        assert isinstance(design, Design)
        with operand_files(job.operands):
            return _measured(design, job)
    except UserError as error:
        # Tools' logs go with the temporary folder.
        raise type(error)(str(error).partition(" (all of ")[0]) from None


def _measured(design: Design, job: Job) -> list[AnyRecord]:
    with temporary_folder("mixpe-ppa-") as folder:
        library = read_library(job.library, job.sources, folder / "liberty")
        made = make(design)
        (folder / "source.v").write_text(made.verilog, encoding="utf-8")
        mapper = Mapper(
            folder / "source.v",
            made.top,
            library,
            folder,
            folder / "yosys.log",
            hierarchy=design.kind == "array",
            keep=[f"{made.top}_{part}" for part in ARRAY_PARTS],
        )
        candidates = _timed(mapper, _area_ways(design, mapper, job.clock_gates), library, folder)
        smallest = min(candidates, key=lambda c: (c.area, c.timing.min_period_ns))
        shares = SHARES[design.kind]
        targets = job.targets or (None, *(share * smallest.timing.min_period_ns for share in shares))
        delays = [target for target in targets if target is not None]
        if delays:
            ways = _timed_ways(design, mapper, job.clock_gates, delays)
            candidates += _timed(mapper, ways, library, folder)
        records, energies = [], {}
        for target in targets:
            chosen = _choose(candidates, target)
            key = chosen.mapping.netlist
            if key not in energies:
                energies[key] = measure_energy(
                    design,
                    made,
                    key,
                    chosen.timing.min_period_ns,
                    frozenset(adder.cell for adder in mapper.adders.values()),
                    library,
                    folder / key.stem,
                )
            gate = mapper.clock_gate.cell if mapper.clock_gate and job.clock_gates else ""
            records.append(_record(design, made, library, gate, target, chosen, energies[key]))
        return records


def _area_ways(design: Design, mapper: Mapper, clock_gates: bool) -> list[Way]:
    ways = [
        Way(script, adders, clock_gates=clock_gates)
        for script in _AREA[design.kind]
        for adders in _adders(mapper)
    ]
    return _booth(ways, mapper)


def _timed_ways(design: Design, mapper: Mapper, clock_gates: bool, targets: Iterable[float]) -> list[Way]:
    ways = [
        Way(script, adders, delay_ns=_GATES_SHARE * target, clock_gates=clock_gates)
        for target in targets
        for script in _TIMED[design.kind]
        for adders in _adders(mapper)
    ]
    return _booth(ways, mapper)


def _adders(mapper: Mapper) -> tuple[str, ...]:
    """Returns the choices of adder cells: none, full adders, half adders too, as the library has them."""
    kinds = len(mapper.adders)
    return tuple(ADDER_CELLS)[: kinds + 1] if kinds else ("none",)


def _booth(ways: Sequence[Way], mapper: Mapper) -> list[Way]:
    """Tries both of Yosys's multipliers where the design has a `*`."""
    return [
        replace(way, booth=booth)
        for way in ways
        for booth in ((True, False) if mapper.multiplies else (True,))
    ]


def _timed(mapper: Mapper, ways: Sequence[Way], library: Library, folder: Path) -> list[Candidate]:
    mappings = mapper.map(ways)
    netlists = [mapping.netlist for mapping in mappings]
    timings = analyze_timings(netlists, mapper.top, library, folder, folder / "timing.log")
    return [
        Candidate(mapping, timing, mapping.cells[mapper.top].area or 0.0)
        for mapping, timing in zip(mappings, timings, strict=True)
    ]


def _choose(candidates: Sequence[Candidate], target: float | None) -> Candidate:
    limit = float("inf") if target is None else target
    if keeping := [c for c in candidates if c.timing.min_period_ns <= limit]:
        return min(keeping, key=lambda c: (c.area, c.timing.min_period_ns))
    return min(candidates, key=lambda c: (c.timing.min_period_ns, c.area))


def _record(
    design: Design,
    made: Made,
    library: Library,
    clock_gate: str,
    target: float | None,
    chosen: Candidate,
    energy: Energy,
) -> Record:
    cells = chosen.mapping.cells[made.top]
    period, macs = chosen.timing.min_period_ns, made.macs_per_cycle
    area_per_mac = chosen.area / macs
    adders, floor = full_adders(design)
    first = library.files[0]
    return rounded(
        Record(
            design=design.name,
            title=design.title,
            role=design.role,
            kind=design.kind,
            built=design.built,
            library=library.name,
            corner=library.corner,
            voltage_v=first.voltage,
            temperature_c=first.temperature,
            target_ns=target,
            area_um2=chosen.area,
            area_registers_um2=cells.area_registers or 0.0,
            area_clock_gates_um2=cells.area_clock_gates or 0.0,
            area_adders_um2=cells.area_adders or 0.0,
            area_logic_um2=cells.area_logic or 0.0,
            min_period_ns=period,
            critical_path=f"{chosen.timing.start} -> {chosen.timing.end}",
            energy_pj_per_mac=energy.pj_per_mac,
            energy_breakdown_pj=energy.by_part,
            area_breakdown_um2=energy.area_by_part,
            leakage_uw=energy.leakage_uw,
            macs_per_cycle=macs,
            area_per_mac_um2=area_per_mac,
            area_delay_um2_ns_per_mac=area_per_mac * period,
            energy_delay_pj_ns_per_mac=energy.pj_per_mac * period,
            full_adders=adders,
            full_adder_floor=floor,
            operands=energy.operands,
            clock_ns=energy.clock_ns,
            recipe=chosen.mapping.way,
            clock_gate=clock_gate,
            tools=used_tools(),
            liberty_files=liberty_sources(library),
        )
    )
