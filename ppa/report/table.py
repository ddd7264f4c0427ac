"""The table that every form of the report shows: each design at one operating point, against a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..record import Record
from .points import DEFAULT, OperatingPoint, by_design, cost

BEST_INT8 = "int8_carry_save_l4"
"""The INT8 PE of the quick list with the least area x delay x energy, on each of the three libraries."""

PLAIN_INT8 = "int8_multiplier"
"""The INT8 PE that leaves the multiplier to Yosys: what ratios are to where nothing better is there."""


@dataclass(frozen=True)
class Row:
    """A design of a table: its point there, None where it is too slow, and the baseline's point."""

    first: Record
    point: Record | None
    base: Record | None

    @property
    def ratios(self) -> tuple[float, float, float, float] | None:
        """Returns area, period, energy and their product over the baseline's; below 1 is better."""
        if not self.point or not self.base:
            return None
        mine, other = self.point, self.base
        return (
            mine.area_per_mac_um2 / other.area_per_mac_um2,
            mine.min_period_ns / other.min_period_ns,
            mine.energy_pj_per_mac / other.energy_pj_per_mac,
            cost(mine) / cost(other),
        )


@dataclass(frozen=True)
class View:
    """What a user wants to see: the operating point of every table, and the design that ratios are to.

    baseline: a design's name; "": the best INT8 PE that was measured, `BEST_INT8` or else `PLAIN_INT8`.
    """

    point: OperatingPoint = DEFAULT
    baseline: str = ""

    def base(self, records: Sequence[Record]) -> Record | None:
        """Returns the baseline's point among the records of one library; None where it was not measured."""
        designs = by_design(records)
        names = [self.baseline] if self.baseline else [BEST_INT8, PLAIN_INT8]
        found = next((designs[name] for name in names if name in designs), ())
        return self.point.choose(found)

    def rows(self, records: Sequence[Record], kind: str | None = None) -> list[Row]:
        """Returns a row for each design of this kind, or of all kinds, of one library."""
        base = self.base(records)
        return [
            Row(points[0], self.point.choose(points), base)
            for points in by_design(records).values()
            if kind in (None, points[0].kind)
        ]

    def heading(self, records: Sequence[Record]) -> str:
        """Returns the words that stand over a table: the operating point, and what ratios are to."""
        base = self.base(records)
        return self.point.label + (f"; ratios to {base.design}" if base else "; no ratios")

    def warnings(self, records: Sequence[Record], library: str) -> list[str]:
        """Returns a line for each reason why ratios are absent, or weaker than they could be."""
        designs = by_design(records)
        if self.baseline:
            if self.base(records):
                return []
            why = "has no point that fast" if self.baseline in designs else "was not measured"
            return [f"no ratios with {library}: the baseline {self.baseline} {why}"]
        if BEST_INT8 in designs:
            return []
        if PLAIN_INT8 in designs:
            effect = f"ratios with {library} are to {PLAIN_INT8}, a weaker baseline"
        else:
            effect = f"no ratios to INT8 with {library}"
        missing = f"the best INT8 PE, {BEST_INT8}, was not measured"
        return [f"{effect}: {missing} (add --design {BEST_INT8}, or give --baseline)"]


DEFAULT_VIEW = View()
"""The default operating point and baseline, in the terminal, `ppa.md`, the README and papers' tables."""
