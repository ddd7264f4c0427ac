"""Which points of the area-delay curves are compared, and how."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
"""One design at one point of its area-delay curve, with one library."""

PAPER = "MixPE, arXiv 2411.16158"
PAPER_RATIO = 2.29
"""W4A8 over an INT8 PE, area efficiency times power efficiency: the paper's claim."""


def cost(record: Record) -> float | None:
    """Area x delay x energy per MAC, in um2 ns pJ; None if there is no energy figure.

    It is the reciprocal of area efficiency times power efficiency, up to units.
    """
    energy = record["energy_pj_per_mac"]
    return None if energy is None else record["area_per_mac_um2"] * record["min_period_ns"] * energy


def area_efficiency(record: Record, period_ns: float) -> float:
    """Throughput per area, MAC/s/um2, with a clock of this period."""
    return 1e9 / (record["area_per_mac_um2"] * period_ns)


def power_efficiency(record: Record) -> float:
    """Throughput per power, MAC/s/W, which is MAC/J."""
    return 1e12 / record["energy_pj_per_mac"]


def by(records: Iterable[Record], key: str) -> dict[Any, list[Record]]:
    """The records by their value of `key`, in order of first appearance."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(record[key], []).append(record)
    return groups


def smallest(points: Sequence[Record]) -> Record:
    """The point of least area; of equal ones, the fastest."""
    return min(points, key=lambda point: (point["area_per_mac_um2"], point["min_period_ns"]))


def fastest(points: Sequence[Record]) -> Record:
    """The point of least period; of equal ones, the smallest."""
    return min(points, key=lambda point: (point["min_period_ns"], point["area_per_mac_um2"]))


def best(points: Sequence[Record]) -> Record | None:
    """The point of least area x delay x energy per MAC; None if no point has an energy figure."""
    return _least(points, cost)


def within(points: Iterable[Record], period_ns: float) -> list[Record]:
    """The points that run with a clock of this period."""
    return [point for point in points if point["min_period_ns"] <= period_ns]


def _least(points: Iterable[Record], figure: Callable[[Record], float | None]) -> Record | None:
    found = [(value, number, point) for number, point in enumerate(points) if (value := figure(point))]
    return min(found)[2] if found else None


def _is_element(element: str, **fields: Any) -> Callable[[Record], bool]:
    """Of PEs of an `element` whose configurations have these fields."""

    def holds(record: Record) -> bool:
        config = record["configuration"]
        return (
            record["kind"] == "pe"
            and config.get("element") == element
            and all(config.get(name) == value for name, value in fields.items())
        )

    return holds


_is_int8 = _is_element("pe", weight_bits=8, act_bits=8, act_format="int")


def is_multiplier(record: Record) -> bool:
    """An INT8 PE that leaves the multiplier to Yosys (`*`)."""
    return _is_int8(record) and record["configuration"].get("datapath") == "multiplier"


def is_hard_baseline(record: Record) -> bool:
    """An INT8 PE with one of our own datapaths."""
    return _is_int8(record) and not is_multiplier(record)


_is_4x8 = _is_element("pe", weight_bits=4, act_bits=8, act_format="int")


def is_w4a8(record: Record) -> bool:
    """A W4A8 PE of MixPE: no baseline."""
    return _is_4x8(record) and record["role"] == "mixpe"


def baseline(points: Iterable[Record]) -> Record | None:
    """Of the INT8 `*` PEs with one lane, the point of least area: what ratios are relative to."""
    found = [p for p in points if is_multiplier(p) and p["configuration"]["lanes"] == 1]
    return smallest(found) if found else None


@dataclass(frozen=True)
class Claim:
    """What a paper says of a kind of PE: `ratio` times area efficiency x power efficiency.

    ours: which they are, in words. opponents: whom our PEs are compared with, by a description.
    reference: of whose smallest point with one lane the period is the common one; reference_name: of them.
    """

    ours: str
    paper: str
    ratio: float
    is_ours: Callable[[Record], bool]
    opponents: Mapping[str, Callable[[Record], bool]]
    reference: Callable[[Record], bool]
    reference_name: str


_FP16_MAC = _is_element("float_mac", act_format="fp16")
_FP16_FIRST = _is_element("dequantize_first_float", act_format="fp16")
_FP16_OPPONENTS = {
    "the FP16 multiply-add PE with FP32 sums": _FP16_MAC,
    "the PE that dequantizes INT4 to FP16 first": _FP16_FIRST,
}

CLAIMS = (
    Claim(
        "W4A8",
        PAPER,
        PAPER_RATIO,
        is_w4a8,
        {
            "the best INT8 PE of our own datapaths": is_hard_baseline,
            "the best INT8 PE with Yosys's `*`": is_multiplier,
        },
        is_multiplier,
        "`*` PE",
    ),
    Claim(
        "W4A16, FP16 aligned to 13 bits",
        "FIGNA, HPCA 2024: 6.34x TOPS/mm2, 2.19x TOPS/W",
        6.34 * 2.19,
        _is_element("pe", weight_bits=4, act_format="fp16", fp_scheme="aligned", align_bits=13),
        _FP16_OPPONENTS,
        _FP16_MAC,
        "FP16 multiply-add PE",
    ),
    Claim(
        "W4A16, products and sums in floating point",
        PAPER,
        4.82,
        _is_element("pe", weight_bits=4, act_format="fp16", fp_scheme="fp_mac"),
        _FP16_OPPONENTS,
        _FP16_MAC,
        "FP16 multiply-add PE",
    ),
)


@dataclass(frozen=True)
class Comparison:
    """The best PE of a claim against the best of some opponents, with one library.

    against: who the opponents are. period_ns: the clock of both, None: each at its own least period.
    """

    claim: Claim
    against: str
    period_ns: float | None
    ours: Record
    theirs: Record

    @property
    def area_ratio(self) -> float:
        """How many times the opponent's area efficiency."""
        ours, theirs = (
            area_efficiency(point, self.period_ns or point["min_period_ns"])
            for point in (self.ours, self.theirs)
        )
        return ours / theirs

    @property
    def power_ratio(self) -> float:
        """How many times the opponent's power efficiency."""
        return power_efficiency(self.ours) / power_efficiency(self.theirs)

    @property
    def ratio(self) -> float:
        """Area efficiency times power efficiency, over the opponent's."""
        return self.area_ratio * self.power_ratio


def comparisons(points: Sequence[Record]) -> list[Comparison]:
    """What papers claim, measured with one library, over each kind of opponent, in two ways.

    Each at its own best point: of all points of all PEs of a kind, the one of least area x delay x energy,
    at its own least period. At the common period, the reference's: of the points that run with it, the one
    of least area x energy. Energy is as measured, at the clock its record names, and not scaled to the
    period. A kind without a point that qualifies is left out.
    """
    return [found for claim in CLAIMS for found in _compared(claim, points)]


def _compared(claim: Claim, points: Sequence[Record]) -> Iterator[Comparison]:
    ways: list[tuple[float | None, Sequence[Record], Callable]] = [(None, points, cost)]
    single = [p for p in points if claim.reference(p) and p["configuration"]["lanes"] == 1]
    if single:
        period = smallest(single)["min_period_ns"]
        ways.append((period, within(points, period), _area_energy))
    for against, is_theirs in claim.opponents.items():
        for period, usable, figure in ways:
            ours = _least(filter(claim.is_ours, usable), figure)
            theirs = _least(filter(is_theirs, usable), figure)
            if ours and theirs:
                yield Comparison(claim, against, period, ours, theirs)


def _area_energy(record: Record) -> float | None:
    energy = record["energy_pj_per_mac"]
    return None if energy is None else record["area_per_mac_um2"] * energy
