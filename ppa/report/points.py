"""Which point of a design's area-delay curve stands for the design: one labelled choice for every table."""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from ...spec.errors import UserError
from ..record import AnyRecord, CoreRecord, Record
from .text import number

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class Aim(Enum):
    """What an operating point is chosen for; the value is what a user types."""

    PRODUCT = "product"
    AREA = "area"
    PERIOD = "period"


@dataclass(frozen=True)
class OperatingPoint:
    """The rule by which one point of each design is taken for a table.

    aim: the least area x delay x energy per MAC, the least area or the least period.
    within_ns: only points that run with a clock of this period, in ns; None: all points.
    """

    aim: Aim = Aim.PRODUCT
    within_ns: float | None = None

    @classmethod
    def parse(cls, text: str) -> "OperatingPoint":
        """Returns the point that a user names: "product", "area", "period", or a period in ns.

        A period asks for the least area that keeps it. Raises `UserError` for anything else.
        """
        for aim in Aim:
            if text == aim.value:
                return cls(aim)
        try:
            period = float(text)
        except ValueError:
            period = math.nan
        if not 0 < period < math.inf:
            names = ", ".join(aim.value for aim in Aim)
            raise UserError(f"--point must be {names}, or a period in ns above 0, not {text!r}")
        return cls(Aim.AREA, period)

    @property
    def label(self) -> str:
        """Returns the words that every table shown at this point has in its heading."""
        words = {
            Aim.PRODUCT: "least area x delay x energy",
            Aim.AREA: "least area",
            Aim.PERIOD: "shortest period",
        }[self.aim]
        return words if self.within_ns is None else f"{words} at a period of {number(self.within_ns)} ns"

    def choose(self, points: Iterable[Record]) -> Record | None:
        """Returns the point of a design that this rule takes; None where no point is fast enough."""
        order: Callable[[Record], tuple[float, float]] = {
            Aim.PRODUCT: lambda point: (cost(point), point.min_period_ns),
            Aim.AREA: lambda point: (point.area_per_mac_um2, point.min_period_ns),
            Aim.PERIOD: lambda point: (point.min_period_ns, point.area_per_mac_um2),
        }[self.aim]
        limit = math.inf if self.within_ns is None else self.within_ns
        return min((point for point in points if point.min_period_ns <= limit), key=order, default=None)


LEAST_AREA = OperatingPoint(Aim.AREA)
LEAST_PRODUCT = OperatingPoint(Aim.PRODUCT)
SHORTEST_PERIOD = OperatingPoint(Aim.PERIOD)

DEFAULT = LEAST_PRODUCT
"""The operating point of the terminal, the Markdown report, the README and the papers' tables."""


def cost(record: Record) -> float:
    """Returns area x delay x energy per MAC, in um2 ns pJ.

    It is the reciprocal of area efficiency times power efficiency, up to units.
    """
    return record.area_per_mac_um2 * record.min_period_ns * record.energy_pj_per_mac


def by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Returns the items by their `key`, in order of first appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def by_library(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Returns the records by the name of their library, in order of first appearance."""
    return by(records, lambda record: record.library)


def by_design(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Returns the records by the name of their design, in order of first appearance."""
    return by(records, lambda record: record.design)


def split(records: Iterable[AnyRecord]) -> tuple[list[Record], list[CoreRecord]]:
    """Returns the elements and arrays, and the cores."""
    every = list(records)
    return [r for r in every if isinstance(r, Record)], [r for r in every if isinstance(r, CoreRecord)]
