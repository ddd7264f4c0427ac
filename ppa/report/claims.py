"""What papers claim of processing elements, and how the measured ones compare."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...spec.array import Config
from ...spec.formats.numbers import FP16, IntFormat
from ..record import Element, Record
from .points import LEAST_AREA, cost

PAPER = "MixPE, arXiv 2411.16158"
PAPER_RATIO = 2.29
"""W4A8 over an INT8 PE, area efficiency times power efficiency: the paper's claim."""


def area_efficiency(record: Record, period_ns: float) -> float:
    """Returns throughput per area, in MAC/s/um2, with a clock of this period."""
    return 1e9 / (record.area_per_mac_um2 * period_ns)


def power_efficiency(record: Record) -> float:
    """Returns throughput per power, in MAC/s/W, which is MAC/J."""
    return 1e12 / record.energy_pj_per_mac


def _is_element(record: Record, element: Element) -> bool:
    return record.kind == "pe" and record.built.element == element


def _weighs(config: Config, bits: int) -> bool:
    """Returns whether weights are integers of that width."""
    return config.matrix.weight.integers and config.weight_bits == bits


def is_int8(record: Record) -> bool:
    """Returns whether this is a PE of 8-bit integers with one of the list's datapaths."""
    config = record.built.config
    return _is_element(record, "pe") and _weighs(config, 8) and config.act_code == IntFormat(8)


def is_multiplier(record: Record) -> bool:
    """Returns whether this is an INT8 PE that leaves the multiplier to Yosys (`*`)."""
    return is_int8(record) and record.built.config.datapath == "multiplier"


def is_hard_baseline(record: Record) -> bool:
    """Returns whether this is an INT8 PE with one of our own datapaths."""
    return is_int8(record) and not is_multiplier(record)


def is_w4a8(record: Record) -> bool:
    """Returns whether this is a W4A8 PE of MixPE, and no baseline."""
    config = record.built.config
    ours = _is_element(record, "pe") and record.role == "mixpe"
    return ours and _weighs(config, 4) and config.act_code == IntFormat(8)


def _is_w4a16(record: Record, fp_scheme: str, align_bits: int) -> bool:
    config = record.built.config
    how = (config.act_code, config.fp_scheme, config.align_bits)
    return _is_element(record, "pe") and _weighs(config, 4) and how == (FP16, fp_scheme, align_bits)


def _is_fp16_mac(record: Record) -> bool:
    return _is_element(record, "float_mac") and record.built.config.act_code == FP16


def _is_fp16_first(record: Record) -> bool:
    return _is_element(record, "dequantize_first_float") and record.built.config.act_code == FP16


@dataclass(frozen=True)
class Claim:
    """What a paper says of a kind of PE: `ratio` times area efficiency x power efficiency.

    ours: which PEs they are, in words. opponents: whom ours are compared with, by a description.
    reference: whose smallest point with one lane gives the common period; reference_name: in words.
    """

    ours: str
    paper: str
    ratio: float
    is_ours: Callable[[Record], bool]
    opponents: Mapping[str, Callable[[Record], bool]]
    reference: Callable[[Record], bool]
    reference_name: str


_FP16_OPPONENTS = {
    "the FP16 multiply-add PE with FP32 sums": _is_fp16_mac,
    "the PE that dequantizes INT4 to FP16 first": _is_fp16_first,
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
        lambda record: _is_w4a16(record, "aligned", 13),
        _FP16_OPPONENTS,
        _is_fp16_mac,
        "FP16 multiply-add PE",
    ),
    Claim(
        "W4A16, products and sums in floating point",
        PAPER,
        4.82,
        lambda record: _is_w4a16(record, "fp_mac", 0),
        _FP16_OPPONENTS,
        _is_fp16_mac,
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
    def clock(self) -> str:
        """Says at which points the two stand."""
        if self.period_ns is None:
            return "each at its least area x delay x energy"
        return f"each at its least area x energy, at the {self.claim.reference_name}'s period"

    @property
    def area_ratio(self) -> float:
        """Returns our area efficiency over the opponent's."""
        ours, theirs = (
            area_efficiency(point, self.period_ns or point.min_period_ns)
            for point in (self.ours, self.theirs)
        )
        return ours / theirs

    @property
    def power_ratio(self) -> float:
        """Returns our power efficiency over the opponent's."""
        return power_efficiency(self.ours) / power_efficiency(self.theirs)

    @property
    def ratio(self) -> float:
        """Returns area efficiency times power efficiency, over the opponent's."""
        return self.area_ratio * self.power_ratio


def comparisons(points: Sequence[Record]) -> list[Comparison]:
    """Returns what papers claim, measured with one library, over each kind of opponent, in two ways.

    In the first way, each PE stands at its own best point: of all points of all PEs of a kind, the one of
    least area x delay x energy, at its own least period. In the second, both run at the period of the
    claim's reference: of the points that keep it, the one of least area x energy is taken. Energy is as
    measured, at the clock that its record names, and not scaled to the period. A kind without a point that
    qualifies is left out.
    """
    return [found for claim in CLAIMS for found in _compared(claim, points)]


def _compared(claim: Claim, points: Sequence[Record]) -> Iterator[Comparison]:
    ways: list[tuple[float | None, Sequence[Record], Callable[[Record], float]]] = [(None, points, cost)]
    single = [p for p in points if claim.reference(p) and p.built.config.lanes == 1]
    if reference := LEAST_AREA.choose(single):
        period = reference.min_period_ns
        ways.append((period, [p for p in points if p.min_period_ns <= period], _area_energy))
    for against, is_theirs in claim.opponents.items():
        for period, usable, figure in ways:
            ours = _least(filter(claim.is_ours, usable), figure)
            theirs = _least(filter(is_theirs, usable), figure)
            if ours and theirs:
                yield Comparison(claim, against, period, ours, theirs)


def _least(points: Iterable[Record], figure: Callable[[Record], float]) -> Record | None:
    return min(points, key=figure, default=None)


def _area_energy(record: Record) -> float:
    return record.area_per_mac_um2 * record.energy_pj_per_mac
