"""The table of figures inside a Markdown file, such as the README: between two markers, replaced whole."""

from collections.abc import Sequence
from pathlib import Path

from ...support.files import around, write_file
from . import points as p
from .markdown import conditions, corner, markdown_table, number, times
from .points import Record

BEGIN, END = "<!-- ppa:begin -->", "<!-- ppa:end -->"


def block(records: Sequence[Record]) -> str:
    """A line for each design with its figures per MAC, what they rest on, and the paper's comparison."""
    libraries = p.by(records, "library")
    headings = ["design"]
    for library in libraries:
        headings += [f"{library}: um2", "ns", "pJ"]
    rows = []
    for found in p.by(records, "design").values():
        row, mine = [found[0]["title"]], p.by(found, "library")
        for library in libraries:
            points = mine.get(library, [])
            point = (p.best(points) or p.smallest(points)) if points else None
            keys = ("area_per_mac_um2", "min_period_ns", "energy_pj_per_mac")
            row += [number(point[key]) if point else "-" for key in keys]
        rows.append(row)
    corners = "; ".join(f"{name}: {corner(found[0])}" for name, found in libraries.items())
    facts = [("Libraries", corners), *conditions(records)]
    return "\n".join(
        [
            "Per MAC, each design at its point of least area x delay x energy (least period in ns):\n",
            markdown_table(headings, rows),
            _comparison(libraries),
            "<sub>" + " ".join(f"{word}: {text}." for word, text in facts if text) + "</sub>\n",
        ]
    )


def _comparison(libraries: dict[str, list[Record]]) -> str:
    found = {name: p.comparisons(points) for name, points in libraries.items()}
    parts = []
    for claim in p.CLAIMS:
        mine = {name: [c for c in each if c.claim is claim] for name, each in found.items()}
        ways = dict.fromkeys((c.against, c.period_ns is None) for each in mine.values() for c in each)
        if not ways:
            continue
        rows = []
        for against, own in ways:
            ratios = [
                next((c.ratio for c in each if (c.against, c.period_ns is None) == (against, own)), None)
                for each in mine.values()
            ]
            way = "each at its best point" if own else f"both at the {claim.reference_name}'s period"
            rows.append((f"{against}, {way}", *map(times, ratios)))
        parts += [
            f"Area x power efficiency of the best PE, {claim.ours} ({claim.paper}: {times(claim.ratio)}):\n",
            markdown_table(("over", *libraries), rows),
        ]
    return "\n".join(parts)


def check(path: Path) -> None:
    """Raises `UserError` unless `update` can do its work."""
    around(path, BEGIN, END)


def update(path: Path, records: Sequence[Record]) -> Path:
    """Replaces what stands between the markers. Returns `path`.

    Raises `UserError` if the file cannot be read or written, or lacks the markers, once each and in order.
    """
    before, after = around(path, BEGIN, END)
    return write_file(path, f"{before}{BEGIN}\n{block(records)}{END}{after}")
