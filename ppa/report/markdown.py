"""The report of `mixpe ppa`: `ppa.json` and `ppa.md`."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import points as p
from .points import Record

_NOT_COUNTED = (
    "a clock tree, routing (wires load cells by the library's default wire load model, where it has one), "
    "sizing after placement, and memories outside the design"
)


def to_json(records: Iterable[Record]) -> str:
    """A list of records, in the order given."""
    return json.dumps(list(records), indent=2) + "\n"


def number(value: float | None) -> str:
    """Three or four digits: areas run from 30 to millions, energies from 0.01."""
    if value is None:
        return "-"
    if value == 0 or isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 else f"{value:#.3g}"


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table; columns after the first `text_columns` are numbers, to the right."""
    rules = [":--" if column < text_columns else "--:" for column in range(len(headings))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (headings, rules, *rows))
    return "".join("| " + " | ".join(row) + " |\n" for row in cells)


def conditions(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What all figures rest on, as (word, text): tools, operands, clock, recipe, what is not counted."""
    tools = _values(records, "tools")
    operands = list(dict.fromkeys(str(record["operands"]) for record in records))
    more = f" (and {len(operands) - 1} alike, in ppa.json)" if len(operands) > 1 else ""
    clocks = sorted({record["clock_ns"] for record in records if record["clock_ns"] is not None})
    if not clocks:
        clock = "no energy figures"
    elif len(clocks) == 1:
        clock = f"energy at a clock of {number(clocks[0])} ns"
    else:
        clock = f"energy at clocks of {number(clocks[0])} to {number(clocks[-1])} ns, listed in ppa.json"
    return [
        ("Tools", ", ".join(f"{name} {found}" for name, found in tools.items())),
        ("Operands", f"{operands[0]}{more}" if operands else ""),
        ("Clock", f"ideal; {clock}"),
        ("Recipe", "of each point, the best of several mappings, named in ppa.json"),
        ("Not counted", _NOT_COUNTED),
    ]


def corner(record: Record) -> str:
    """Corner, voltage and temperature of a record's library."""
    parts = [record["corner"] or "unnamed corner"]
    parts += [f"{record['voltage_v']:g} V"] if record["voltage_v"] is not None else []
    parts += [f"{record['temperature_c']:g} °C"] if record["temperature_c"] is not None else []
    return ", ".join(parts)


def _values(records: Iterable[Record], key: str) -> dict[str, str]:
    """The values each entry of a record's dict takes, such as {"booth": "True / False"}."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in record[key].items():
            found.setdefault(name, {})[str(value)] = None
    return {name: " / ".join(values) for name, values in found.items()}


def markdown(records: Sequence[Record], plots: Sequence[Path] = ()) -> str:
    """The report as Markdown. `plots` are images to show, relative to the report's folder."""
    parts = ["# Area, delay and energy\n", _header(records)]
    for library, found in p.by(records, "library").items():
        parts.append(f"## {library} ({corner(found[0])})\n")
        if pes := [record for record in found if record["kind"] == "pe"]:
            parts += [_points(pes), _per_mac(found), _comparison(found)]
        if arrays := [record for record in found if record["kind"] == "array"]:
            parts.append(_arrays(arrays))
        mine = [path for path in plots if path.stem.endswith(f"_{slug(library)}")]
        parts += [f"![{path.stem.replace('_', ' ')}]({path.as_posix()})\n" for path in mine]
    parts.append(_full_adders(records))
    return "\n".join(part for part in parts if part)


def slug(library: str) -> str:
    """A library's name as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in library)


def _header(records: Sequence[Record]) -> str:
    rows = []
    for library, found in p.by(records, "library").items():
        files = dict.fromkeys(
            str(file["file"] if isinstance(file, dict) else Path(file).name)
            for record in found
            for file in record["liberty_files"]
        )
        rows.append((library, corner(found[0]), ", ".join(f"`{file}`" for file in files)))
    lines = [f"- {word}: {text}." for word, text in conditions(records) if text]
    designs = [
        (f"`{name}`", found[0]["title"], found[0]["kind"], found[0]["role"], number(_macs(found[0])))
        for name, found in p.by(records, "design").items()
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


def _macs(record: Record) -> float:
    macs = record["macs_per_cycle"]
    return int(macs) if macs == int(macs) else macs


_CHOICES: tuple[tuple[str, Callable[[Sequence[Record]], Record | None]], ...] = (
    ("Smallest area", p.smallest),
    ("Shortest period", p.fastest),
    ("Least area x delay x energy", p.best),
)


def _points(pes: Sequence[Record]) -> str:
    headings = ("PE", "target ns", "area", "registers", "adders", "logic", "period", "pJ per MAC", "leakage")
    keys = (
        "area_um2",
        "area_registers_um2",
        "area_adders_um2",
        "area_logic_um2",
        "min_period_ns",
        "energy_pj_per_mac",
        "leakage_uw",
    )
    parts = []
    for title, choose in _CHOICES:
        chosen = [point for found in p.by(pes, "design").values() if (point := choose(found))]
        rows = [(f"`{r['design']}`", _target(r), *(number(r[key]) for key in keys)) for r in chosen]
        if rows:
            parts += [f"### PEs: {title[0].lower() + title[1:]}\n", markdown_table(headings, rows)]
    return "\n".join(parts)


def _target(record: Record) -> str:
    return "area" if record["target_ns"] is None else number(float(record["target_ns"]))


def _per_mac(records: Sequence[Record]) -> str:
    """Every PE at its least area that keeps the baseline's period, per MAC, relative to the baseline."""
    if (base := p.baseline(records)) is None:
        return "### PEs per MAC\n\nNo ratios: no INT8 PE with Yosys's `*` and one lane was measured.\n"
    rows = []
    for name, found in p.by((r for r in records if r["kind"] == "pe"), "design").items():
        usable = p.within(found, base["min_period_ns"])
        point = p.smallest(usable) if usable else None
        rows.append((f"`{name}`", *(against(point, base) if point else ("too slow", *["-"] * 5))))
    headings = ("PE", "area per MAC", "period", "pJ per MAC", "area", "energy", "area x energy")
    text = (
        f"Baseline, 1.00x: `{base['design']}`, the INT8 PE with Yosys's `*`, at its least area; "
        f"period {number(base['min_period_ns'])} ns.\n"
    )
    return "\n".join(["### PEs per MAC, no slower than the baseline\n", text, markdown_table(headings, rows)])


def against(point: Record, base: Record) -> tuple[str, ...]:
    area = ratio(point["area_per_mac_um2"], base["area_per_mac_um2"])
    energy = ratio(point["energy_pj_per_mac"], base["energy_pj_per_mac"])
    both = None if area is None or energy is None else area * energy
    figures = (point["area_per_mac_um2"], point["min_period_ns"], point["energy_pj_per_mac"])
    return (*map(number, figures), times(area), times(energy), times(both))


COMPARISON = ("over", "clock", "our PE", "theirs", "area", "area efficiency", "power efficiency", "product")


def comparison_rows(claim: p.Claim, records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Over whom, clock, our design, theirs, areas per MAC as a ratio, and the three ratios, as text."""
    return [
        (
            found.against,
            "each its own" if found.period_ns is None else f"{number(found.period_ns)} ns",
            f"`{found.ours['design']}`",
            f"`{found.theirs['design']}`",
            times(ratio(found.ours["area_per_mac_um2"], found.theirs["area_per_mac_um2"])),
            times(found.area_ratio),
            times(found.power_ratio),
            times(found.ratio),
        )
        for found in p.comparisons(records)
        if found.claim is claim
    ]


def _comparison(records: Sequence[Record]) -> str:
    parts = []
    for claim in p.CLAIMS:
        text = (
            f"The paper ({claim.paper}) claims {times(claim.ratio)}. Area efficiency is throughput per area "
            "(MAC/s/um2), power efficiency throughput per power (MAC/s/W). With its own clock, each PE is at "
            "its point of least area x delay x energy; with the opponent's, of least area x energy.\n"
        )
        if rows := comparison_rows(claim, records):
            title = f"### {claim.ours}: area efficiency x power efficiency\n"
            parts += [title, text, markdown_table(COMPARISON, rows, 4)]
    return "\n".join(parts)


def _arrays(arrays: Sequence[Record]) -> str:
    headings = ("array", "target ns", "area", "area per MAC", "period", "pJ per MAC", "leakage")
    keys = ("area_um2", "area_per_mac_um2", "min_period_ns", "energy_pj_per_mac", "leakage_uw")
    rows = [(f"`{r['design']}`", _target(r), *(number(r[key]) for key in keys)) for r in arrays]
    parts = ["### Arrays\n", markdown_table(headings, rows)]
    for points in p.by(arrays, "design").values():
        point = p.smallest(points)
        area, energy = point["area_breakdown_um2"] or {}, point["energy_breakdown_pj"] or {}
        lines = [
            (name, number(area.get(name)), _share(area, name), number(energy.get(name)), _share(energy, name))
            for name in dict.fromkeys([*area, *energy])
        ]
        if lines:
            headings = ("part", "area", "of all", "pJ per MAC", "of all")
            parts += [
                f"Parts of `{point['design']}` at its least area:\n",
                markdown_table(headings, lines),
            ]
    return "\n".join(parts)


def _share(breakdown: dict[str, float], name: str) -> str:
    share = ratio(breakdown.get(name), sum(breakdown.values()))
    return "-" if share is None else f"{share:.0%}"


def _full_adders(records: Iterable[Record]) -> str:
    """Once for each design whose count is known; twice where it changes with library or target."""
    rows = dict.fromkeys(
        (f"`{r['design']}`", number(r["full_adders"]), number(r["full_adder_floor"]))
        for r in records
        if r["full_adders"] is not None
    )
    if not rows:
        return ""
    text = "Each full adder removes one bit: bits in minus bits out is the least number of them.\n"
    return "\n".join(
        ["## Full adders\n", text, markdown_table(("design", "full adders", "floor"), list(rows))]
    )
