"""The report of `mixpe ppa` as Markdown: `ppa.md`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..record import AnyRecord, CoreRecord, Record
from .claims import CLAIMS, Claim, comparisons
from .conditions import conditions, corner
from .points import (
    LEAST_AREA,
    LEAST_PRODUCT,
    SHORTEST_PERIOD,
    OperatingPoint,
    by,
    by_design,
    by_library,
    split,
)
from .table import DEFAULT_VIEW, Row, View
from .text import markdown_table, number, slug, times

_KINDS = {"pe": "PEs", "array": "Arrays"}


def markdown(records: Sequence[AnyRecord], plots: Sequence[Path] = (), view: View = DEFAULT_VIEW) -> str:
    """Returns the report. `plots` are images to show, relative to the report's folder."""
    measured, cores = split(records)
    parts = ["# Area, delay and energy\n"]
    if measured:
        parts.append(_header(measured))
    for library, found in by_library(measured).items():
        parts.append(f"## {library} ({corner(found[0])})\n")
        parts += [f"{line}.\n" for line in view.warnings(found, library)]
        for kind, mine in by(found, lambda record: record.kind).items():
            parts.append(f"### {_KINDS[kind]} per MAC: {view.heading(found)}\n")
            parts.append(_per_mac(view.rows(found, kind)))
            parts += [_points(kind, mine, point) for point in (LEAST_AREA, SHORTEST_PERIOD, LEAST_PRODUCT)]
        parts += [_same_period(found, view), _comparison(found), _parts(found, view.point)]
        mine = [path for path in plots if path.stem.endswith(f"_{slug(library)}")]
        parts += [f"![{path.stem.replace('_', ' ')}]({path.as_posix()})\n" for path in mine]
    parts += [_core(core) for core in cores]
    parts.append(_full_adders(measured))
    return "\n".join(part for part in parts if part)


def _header(records: Sequence[Record]) -> str:
    rows = []
    for library, found in by_library(records).items():
        files = dict.fromkeys(source.file for record in found for source in record.liberty_files)
        rows.append((library, corner(found[0]), ", ".join(f"`{file}`" for file in files)))
    lines = [f"- {word}: {text}." for word, text in conditions(records)]
    designs = [
        (f"`{name}`", found[0].title, found[0].kind, found[0].role, number(found[0].macs_per_cycle))
        for name, found in by_design(records).items()
    ]
    return "\n".join(
        [
            markdown_table(("library", "corner", "Liberty files"), rows, 3),
            *lines,
            "",
            "Areas are in um2, periods in ns, energies in pJ per multiply-accumulate (MAC), leakage in uW.",
            "The least period is the longest path between registers, by static timing.\n",
            markdown_table(("design", "what it is", "kind", "role", "MACs per cycle"), designs, 4),
        ]
    )


PER_MAC = ("design", "um2", "ns", "pJ", "area", "period", "energy", "product")
"""Headings of a table per MAC: figures, then ratios to the baseline."""


def figures(row: Row) -> tuple[str, ...]:
    """Returns the figures of a row under the headings `PER_MAC`, as text."""
    if not row.point:
        return ("too slow", *["-"] * 6)
    point = row.point
    own = (point.area_per_mac_um2, point.min_period_ns, point.energy_pj_per_mac)
    return (*map(number, own), *map(times, row.ratios or [None] * 4))


def _per_mac(rows: Sequence[Row]) -> str:
    return markdown_table(PER_MAC, [(f"`{row.first.design}`", *figures(row)) for row in rows])


def _points(kind: str, records: Sequence[Record], point: OperatingPoint) -> str:
    areas = ("area", "registers", "clock gates", "adders", "logic")
    headings = ("design", "target ns", *areas, "period", "pJ", "leakage")
    chosen = [found for points in by_design(records).values() if (found := point.choose(points))]
    rows = [
        (
            f"`{r.design}`",
            "area" if r.target_ns is None else number(r.target_ns),
            *map(
                number,
                (
                    r.area_um2,
                    r.area_registers_um2,
                    r.area_clock_gates_um2,
                    r.area_adders_um2,
                    r.area_logic_um2,
                ),
            ),
            *map(number, (r.min_period_ns, r.energy_pj_per_mac, r.leakage_uw)),
        )
        for r in chosen
    ]
    return f"### {_KINDS[kind]}, whole: {point.label}\n\n{markdown_table(headings, rows)}"


def _same_period(records: Sequence[Record], view: View) -> str:
    """Shows every PE at the least area that keeps the period which the baseline has at its least area."""
    base = View(LEAST_AREA, view.baseline).base(records)
    if base is None or base.kind != "pe":
        return ""
    same = View(OperatingPoint(LEAST_AREA.aim, base.min_period_ns), base.design)
    return f"### PEs per MAC: {same.heading(records)}\n\n{_per_mac(same.rows(records, 'pe'))}"


COMPARISON = ("over", "points", "our PE", "theirs", "area", "area efficiency", "power efficiency", "product")


def comparison_rows(claim: Claim, records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Returns opponent, points, our design, theirs, areas per MAC as a ratio, and three ratios, as text."""
    return [
        (
            found.against,
            found.clock + ("" if found.period_ns is None else f", {number(found.period_ns)} ns"),
            f"`{found.ours.design}`",
            f"`{found.theirs.design}`",
            times(found.ours.area_per_mac_um2 / found.theirs.area_per_mac_um2),
            times(found.area_ratio),
            times(found.power_ratio),
            times(found.ratio),
        )
        for found in comparisons(records)
        if found.claim is claim
    ]


def _comparison(records: Sequence[Record]) -> str:
    parts = []
    for claim in CLAIMS:
        text = (
            f"The paper ({claim.paper}) claims {times(claim.ratio)}. Area efficiency is throughput per area "
            "(MAC/s/um2), power efficiency throughput per power (MAC/s/W).\n"
        )
        if rows := comparison_rows(claim, records):
            title = f"### {claim.ours}: area efficiency x power efficiency\n"
            parts += [title, text, markdown_table(COMPARISON, rows, 4)]
    return "\n".join(parts)


def _parts(records: Sequence[Record], point: OperatingPoint) -> str:
    """Shows what the parts of each array take of its area and energy."""
    parts = []
    for name, points in by_design(record for record in records if record.kind == "array").items():
        if not (chosen := point.choose(points)):
            continue
        area, energy = chosen.area_breakdown_um2, chosen.energy_breakdown_pj
        lines = [
            (
                part,
                number(area.get(part)),
                _share(area, part),
                _per(area.get(part), chosen.macs_per_cycle),
                number(energy.get(part)),
                _share(energy, part),
            )
            for part in dict.fromkeys([*area, *energy])
        ]
        headings = ("part", "area", "of all", "um2 per MAC", "pJ per MAC", "of all")
        parts += [f"### Parts of `{name}`: {point.label}\n", markdown_table(headings, lines)]
    return "\n".join(parts)


def _per(area: float | None, macs: int) -> str:
    return number(None if area is None else area / macs)


def _share(breakdown: dict[str, float], name: str) -> str:
    total = sum(breakdown.values())
    return f"{breakdown[name] / total:.0%}" if name in breakdown and total else "-"


BLOCKS = ("block", "count", "um2", "um2 per MAC", "memory, KiB")


def block_rows(core: CoreRecord) -> list[tuple[str, ...]]:
    """Returns a row for each block of a core under the headings `BLOCKS`; areas are of one instance."""
    return [
        (
            block.block,
            number(block.instances),
            number(block.area_um2),
            number(block.area_per_mac_um2),
            number(block.memory_bits / 8192) if block.memory_bits else "-",
        )
        for block in core.blocks
    ]


def core_heading(core: CoreRecord) -> str:
    """Returns what stands over a core's table."""
    return f"{core.design} with {core.library}: area by block, one instance each, without memories"


def _core(core: CoreRecord) -> str:
    return f"## {core_heading(core)}\n\n{markdown_table(BLOCKS, block_rows(core))}"


def _full_adders(records: Iterable[Record]) -> str:
    """Lists each design whose count is known once, or twice where it changes with library or target."""
    rows = dict.fromkeys(
        (f"`{r.design}`", number(r.full_adders), number(r.full_adder_floor))
        for r in records
        if r.full_adders is not None
    )
    if not rows:
        return ""
    text = "Each full adder removes one bit: bits in minus bits out is the least number of them.\n"
    return "\n".join(
        ["## Full adders\n", text, markdown_table(("design", "full adders", "floor"), list(rows))]
    )
