"""The summary of `mixpe ppa` on the terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..record import AnyRecord, Record
from .claims import comparisons
from .conditions import corner
from .markdown import BLOCKS, PER_MAC, block_rows, core_heading, figures
from .points import by_library, split
from .table import DEFAULT_VIEW, View
from .text import number, times


def summary(records: Sequence[AnyRecord], view: View = DEFAULT_VIEW) -> Group:
    """Returns a table for each library and each core, and the comparisons with the papers."""
    measured, cores = split(records)
    shown: list[Any] = []
    for library, found in by_library(measured).items():
        title = f"{library} ({corner(found[0])}), per MAC: {view.heading(found)}"
        rows = [(row.first.design, *figures(row)) for row in view.rows(found)]
        shown.append(_table(title, PER_MAC, rows))
        shown += [Text(f"warning: {line}") for line in view.warnings(found, library)]
        shown += [*map(Text, _comparison_lines(found)), Text()]
    shown += [_table(core_heading(core), BLOCKS, block_rows(core)) for core in cores]
    return Group(*shown)


def _comparison_lines(records: Sequence[Record]) -> list[str]:
    return [
        f"{found.claim.ours} over {found.against}, {found.clock}"
        f"{'' if found.period_ns is None else f' ({number(found.period_ns)} ns)'}: {times(found.ratio)} "
        f"({found.ours.design} over {found.theirs.design}; paper {times(found.claim.ratio)})"
        for found in comparisons(records)
    ]


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Group:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for number_, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number_ else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    # Not the table's own title, which would be broken to the width of its columns.
    return Group(Text(title, style="table.title"), table)
