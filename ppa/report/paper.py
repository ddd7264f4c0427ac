"""The table of figures for a paper and for a spreadsheet: LaTeX and CSV, at the report's operating point."""

import csv
import io
from collections.abc import Sequence

from ..record import Record
from .conditions import conditions, corner
from .points import by_design, by_library
from .table import DEFAULT_VIEW, View
from .text import number

_COLUMNS = (
    "design",
    "title",
    "kind",
    "role",
    "library",
    "operating_point",
    "macs_per_cycle",
    "area_per_mac_um2",
    "min_period_ns",
    "energy_pj_per_mac",
    "leakage_uw",
    "target_ns",
    "clock_ns",
    "baseline",
    "area_ratio",
    "period_ratio",
    "energy_ratio",
    "product_ratio",
)


def csv_table(records: Sequence[Record], view: View = DEFAULT_VIEW) -> str:
    """Returns a line for each design and library; cells without a figure are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for library, found in by_library(records).items():
        for row in view.rows(found):
            first, point = row.first, row.point
            own = (
                (
                    point.area_per_mac_um2,
                    point.min_period_ns,
                    point.energy_pj_per_mac,
                    point.leakage_uw,
                    point.target_ns,
                    point.clock_ns,
                )
                if point
                else ("",) * 6
            )
            ratios = [f"{ratio:.6g}" for ratio in row.ratios or ()] or [""] * 4
            writer.writerow(
                [
                    first.design,
                    first.title,
                    first.kind,
                    first.role,
                    library,
                    view.point.label,
                    first.macs_per_cycle,
                    *own,
                    row.base.design if row.base else "",
                    *ratios,
                ]
            )
    return text.getvalue()


_SPECIAL = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "°": r"\textdegree{}",
}


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex_table(records: Sequence[Record], view: View = DEFAULT_VIEW) -> str:
    """Returns a `table` environment for the package `booktabs`, with three figures for each library.

    With a baseline, a fourth column holds its area x delay x energy over the design's: more is better.
    """
    libraries = by_library(records)
    rows = {library: {row.first.design: row for row in view.rows(own)} for library, own in libraries.items()}
    based = any(row.ratios for own in rows.values() for row in own.values())
    headings = (r"um\textsuperscript{2}", "ns", "pJ", *(["gain"] if based else []))
    lines = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{Per MAC, each design at its point of {_escaped(_caption(records, view))}.}}",
        rf"\begin{{tabular}}{{l{'r' * len(headings) * len(libraries)}}}",
        r"\toprule",
        "".join(rf" & \multicolumn{{{len(headings)}}}{{c}}{{{_escaped(name)}}}" for name in libraries)
        + r" \\",
        "design" + "".join(f" & {heading}" for heading in headings * len(libraries)) + r" \\",
        r"\midrule",
    ]
    for name, found in by_design(records).items():
        cells = [_escaped(found[0].title.replace("`", ""))]
        for own in rows.values():
            row = own.get(name)
            point = row.point if row else None
            mine = (point.area_per_mac_um2, point.min_period_ns, point.energy_pj_per_mac) if point else ()
            cells += map(number, mine or [None] * 3)
            if based:
                cells.append(f"{1 / row.ratios[3]:.2f}" if row and row.ratios else "-")
        lines.append(" & ".join(cells) + r" \\")
    facts = [f"{name}: {corner(found[0])}" for name, found in libraries.items()]
    facts += [f"{word}: {text}" for word, text in conditions(records) if word in ("Tools", "Not counted")]
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {fact}" for fact in facts), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _caption(records: Sequence[Record], view: View) -> str:
    bases = {base.design for own in by_library(records).values() if (base := view.base(own))}
    gain = f"; gain: its product for {' or '.join(sorted(bases))} over the design's" if bases else ""
    return f"{view.point.label}{gain}"
