"""Energy per multiply-accumulate of a core's array, from a report of `mixpe ppa`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..ppa.record import AnyRecord, Built, Record
from ..ppa.report.points import LEAST_AREA, by_library, split
from ..spec.array import Config


@dataclass(frozen=True)
class Figure:
    """Holds the energy per MAC of a design measured with one library, at its smallest netlist.

    kind: "pe", an element alone, or "array", a whole one. group: the design's.
    """

    design: str
    kind: str
    library: str
    group: int
    pj_per_mac: float

    def per_token(self, macs: int) -> float:
        """Returns the joules of so many MACs."""
        return macs * self.pj_per_mac * 1e-12

    def words(self, macs: int, group: int) -> str:
        """Says what the energy of a token of so many MACs, in groups of `group`, stands for, in one line."""
        what = "elements only" if self.kind == "pe" else "array at full use only"
        other = f", measured with groups of {self.group}" if self.group != group else ""
        return (
            f"{_joules(self.per_token(macs))} ({what}: {macs:,} MACs x {self.pj_per_mac:.3g} pJ per MAC of "
            f"{self.design} on {self.library}, {LEAST_AREA.label}{other})"
        )


def newest_report(build: Path = Path("build")) -> Path | None:
    """Returns the `ppa.json` that was written last in a folder of `build`, such as build/ppa."""
    found = [path for path in build.glob("*/ppa.json") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def figures(records: Iterable[AnyRecord], config: Config) -> list[Figure]:
    """Returns for each library the design nearest to the array `config`, at its smallest netlist.

    An array that is the same comes before an element that is the same, and those of the same group before
    others; libraries without either are left out.
    """
    found = []
    for library, mine in by_library(split(records)[0]).items():
        ranked = [(rank, record) for record in mine if (rank := _rank(record, config)) is not None]
        best = min((rank for rank, _ in ranked), default=None)
        chosen = LEAST_AREA.choose(record for rank, record in ranked if rank == best)
        if chosen:
            group, energy = chosen.built.config.group, chosen.energy_pj_per_mac
            found.append(Figure(chosen.design, chosen.kind, library, group, energy))
    return found


def command(config: Config) -> str:
    """Returns the command that measures the element of an array `config`, or one like it."""
    from ..ppa.designs import DESIGNS

    for design in DESIGNS.values():
        if design.kind == "pe" and _ungrouped(_built(design.built)) == _ungrouped(_element(config)):
            return f"mixpe ppa --design {design.name}"
    return "mixpe ppa --config FILE.toml, with this array's fields in the file"


def _rank(record: Record, config: Config) -> int | None:
    """Returns 0 for the array itself, 1 for its element, 2 and 3 for those of another group, else None."""
    mine = _built(record.built)
    for rank, wanted in enumerate((_array(config), _element(config))):
        if mine == wanted:
            return rank
        if _ungrouped(mine) == _ungrouped(wanted):
            return rank + 2
    return None


def _array(config: Config) -> Built:
    """Returns the array `config`, whatever its name."""
    return Built(replace(config, name=""), "array")


def _element(config: Config) -> Built:
    """Returns the element of an array, without what the array around it makes of its sums."""
    plain = Config()
    return Built(
        replace(
            config,
            name="",
            rows=plain.rows,
            cols=plain.cols,
            cluster=plain.cluster,
            share=plain.share,
            weight_signed=plain.weight_signed,
            zero_point=plain.zero_point,
            out_format=plain.out_format,
            token_scale=plain.token_scale,
        ),
        "pe",
    )


def _built(built: Built) -> Built:
    """Returns a design in the form of `_array` or `_element`, so that equal designs are equal objects."""
    made = _element(built.config) if built.element == "pe" else _array(built.config)
    return replace(built, config=made.config)


def _ungrouped(built: Built) -> Built:
    """Returns a design without its group, which sets the width of its sums."""
    return replace(built, config=replace(built.config, name="", group=1))


def _joules(energy: float) -> str:
    for unit, size in (("uJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"
