"""The table of figures inside a Markdown file, such as the README: between two markers, replaced whole."""

from collections.abc import Sequence
from pathlib import Path

from ...support.files import around, write_file
from ..record import Record
from .claims import CLAIMS, comparisons
from .conditions import conditions, corner
from .points import by_design, by_library
from .table import DEFAULT_VIEW, View
from .text import markdown_table, number, times

BEGIN, END = "<!-- ppa:begin -->", "<!-- ppa:end -->"


def block(records: Sequence[Record], view: View = DEFAULT_VIEW) -> str:
    """Returns a line for each design with its figures per MAC, what they rest on, and papers' claims."""
    libraries = by_library(records)
    headings = ["design"]
    for library in libraries:
        headings += [f"{library}: um2", "ns", "pJ"]
    rows = []
    for found in by_design(records).values():
        row, mine = [found[0].title], by_library(found)
        for library in libraries:
            point = view.point.choose(mine.get(library, ()))
            own = (point.area_per_mac_um2, point.min_period_ns, point.energy_pj_per_mac) if point else ()
            row += map(number, own or [None] * 3)
        rows.append(row)
    corners = "; ".join(f"{name}: {corner(found[0])}" for name, found in libraries.items())
    facts = [("Libraries", corners), *conditions(records)]
    return "\n".join(
        [
            f"Per MAC, each design at its point of {view.point.label} (least period in ns):\n",
            markdown_table(headings, rows),
            _comparison(libraries),
            "<sub>" + " ".join(f"{word}: {text}." for word, text in facts) + "</sub>\n",
        ]
    )


def _comparison(libraries: dict[str, list[Record]]) -> str:
    found = {name: comparisons(points) for name, points in libraries.items()}
    parts = []
    for claim in CLAIMS:
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


def update(path: Path, records: Sequence[Record], view: View = DEFAULT_VIEW) -> Path:
    """Replaces what stands between the markers. Returns `path`.

    Raises `UserError` if the file cannot be read or written, or lacks the markers, once each and in order.
    """
    before, after = around(path, BEGIN, END)
    return write_file(path, f"{before}{BEGIN}\n{block(records, view)}{END}{after}")
