"""Energy per multiply-accumulate of a core's array, from a report of `mixpe ppa`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ppa.report import points
from ..ppa.report.points import Record
from ..spec.array import Config
from ..spec.errors import UserError

_ELEMENT = (
    "weight_bits",
    "act_format",
    "act_bits",
    "fp_scheme",
    "align_bits",
    "lanes",
    "datapath",
    "adder",
    "target",
    "acc_bits",
)
"""Fields that make a processing element, but for the group, which sets its sum's width."""

_ARRAY = (*_ELEMENT, "weight_signed", "zero_point", "rows", "cols", "out_format", "token_scale")
"""Fields that make a whole array, again but for the group."""


@dataclass(frozen=True)
class Figure:
    """Holds the energy per MAC of a design measured with one library, at its smallest netlist.

    kind: "pe", an element alone, or "array", a whole one. group: of the design.
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
        """Says in a line what the energy of a token of so many MACs, in groups of `group`, stands for."""
        what = "elements only" if self.kind == "pe" else "array at full use only"
        other = f", measured with groups of {self.group}" if self.group != group else ""
        return (
            f"{_joules(self.per_token(macs))} ({what}: {macs:,} MACs x {self.pj_per_mac:.3g} pJ per MAC of "
            f"{self.design} on {self.library}{other})"
        )


def newest_report(build: Path = Path("build")) -> Path | None:
    """Returns the `ppa.json` that was written last in a folder of `build`, if there is one."""
    found = [path for path in build.glob("*/ppa.json") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_report(path: Path) -> list[Record]:
    """Reads the records of a `ppa.json`. Raises `UserError` that names the file and what is wrong."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not JSON"
        raise UserError(f"energy report {path} cannot be read: {reason}") from None
    known = isinstance(records, list) and all(
        isinstance(record, dict)
        and {"design", "kind", "configuration", "library", "energy_pj_per_mac"} <= record.keys()
        for record in records
    )
    if not known:
        raise UserError(f"energy report {path} must be a ppa.json of `mixpe ppa`: a list of its records")
    return records


def figures(records: Iterable[Record], config: Config) -> list[Figure]:
    """Returns for each library the design nearest to the array `config`, at its smallest netlist.

    An array that is the same comes before an element that is the same, and those of the same group before
    others; libraries without either are left out.
    """
    found = []
    for library, mine in points.by(records, "library").items():
        measured = [record for record in mine if record["energy_pj_per_mac"] is not None]
        ranked = [(rank, record) for record in measured if (rank := _rank(record, config)) is not None]
        if not ranked:
            continue
        best = min(rank for rank, _ in ranked)
        chosen = points.smallest([record for rank, record in ranked if rank == best])
        group, energy = chosen["configuration"]["group"], chosen["energy_pj_per_mac"]
        found.append(Figure(chosen["design"], chosen["kind"], library, group, energy))
    return found


def command(config: Config) -> str:
    """Returns the command that measures the element of an array `config`, or one like it."""
    from ..ppa.designs import DESIGNS

    for design in DESIGNS.values():
        if design.kind == "pe" and _fits(design.configuration, "pe", config, _ELEMENT):
            return f"mixpe ppa --design {design.name}"
    return "mixpe ppa --config FILE.toml, with this array's fields in the file"


def _rank(record: Record, config: Config) -> int | None:
    """Returns 0 for the array itself, 1 for its element, 2 and 3 for those of another group, None else."""
    other = 2 * (record["configuration"].get("group") != config.group)
    for rank, (kind, element, names) in enumerate((("array", "array", _ARRAY), ("pe", "pe", _ELEMENT))):
        if record["kind"] == kind and _fits(record["configuration"], element, config, names):
            return rank + other
    return None


def _fits(configuration: dict[str, Any], element: str, config: Config, names: Iterable[str]) -> bool:
    return configuration.get("element") == element and all(
        configuration.get(name) == getattr(config, name) for name in names
    )


def _joules(energy: float) -> str:
    for unit, size in (("uJ", 1e-6), ("nJ", 1e-9)):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy / 1e-12:.3g} pJ"
