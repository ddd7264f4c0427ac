"""The summary of `mixpe ppa` on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import points as p
from .markdown import against, corner, number, times
from .points import Record


def summary(records: Sequence[Record]) -> Group:
    """For the terminal: a table for each library, and the comparison with the paper."""
    shown: list[Any] = []
    for library, found in p.by(records, "library").items():
        shown.append(_table(f"{library} ({corner(found[0])}), per MAC", found))
        shown += [Text(line) for line in _comparison_lines(found)] + [Text()]
    return Group(*shown)


def _comparison_lines(records: Sequence[Record]) -> list[str]:
    return [
        f"{found.claim.ours} over {found.against}, {_clock(found)}: {times(found.ratio)} "
        f"({found.ours['design']} over {found.theirs['design']}; paper {times(found.claim.ratio)})"
        for found in p.comparisons(records)
    ]


def _clock(found: p.Comparison) -> str:
    return "each at its best" if found.period_ns is None else f"both at {number(found.period_ns)} ns"


def _table(title: str, records: Sequence[Record]) -> Table:
    base = p.baseline(records)
    table = Table(
        title=Text(title, style="table.title"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1)
    )
    table.add_column("design", no_wrap=True)
    headings = ("um2", "ns", "pJ", "least ns", *(("um2, ratio", "pJ, ratio") if base else ()))
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, points in p.by(records, "design").items():
        small = p.smallest(points)
        figures = (small["area_per_mac_um2"], small["min_period_ns"], small["energy_pj_per_mac"])
        row = [*map(number, figures), number(p.fastest(points)["min_period_ns"])]
        if base:
            usable = p.within(points, base["min_period_ns"])
            row += against(p.smallest(usable), base)[3:5] if usable else ("too slow", "-")
        table.add_row(Text(name), *row)
    if base:
        text = f"ratios: to {base['design']}, no slower than its {number(base['min_period_ns'])} ns"
        table.caption, table.caption_justify = Text(text, style="table.caption"), "left"
    return table
