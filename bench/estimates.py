"""Products on cores by the formulas of docs/core.md alone, and areas from reports beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..spec import cycles
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.documents import read_as, read_json, shown

Held = TypeVar("Held")


@dataclass(frozen=True)
class Area:
    """An area in um2; `what` says of what and on which library."""

    um2: float
    what: str


@dataclass(frozen=True)
class Estimated:
    """A product of `m` x `k` x `n` on the core of a design called `name`."""

    name: str
    core: CoreConfig
    m: int
    k: int
    n: int
    estimate: cycles.Estimate
    area: Area | None

    @property
    def read_bytes(self) -> int:
        return cycles.read_bytes(self.m, self.k, self.n, self.core)

    @property
    def write_bytes(self) -> int:
        return cycles.write_bytes(self.m, self.n, self.core)

    @property
    def utilization(self) -> float:
        """Multiplications asked for, of those that the array could make in the time."""
        return self.m * self.k * self.n / (self.estimate.cycles * self.macs_per_cycle)

    @property
    def macs_per_cycle(self) -> int:
        """Multiplications that the array could make in a cycle."""
        array = self.core.array
        return array.rows * array.cols * array.lanes

    def record(self) -> dict[str, Any]:
        """All figures, as plain data for JSON."""
        return {
            "design": self.name,
            "M": self.m,
            "K": self.k,
            "N": self.n,
            **asdict(self.estimate),
            "bound": self.estimate.bound,
            "read_bytes": self.read_bytes,
            "write_bytes": self.write_bytes,
            "macs_per_cycle": self.macs_per_cycle,
            "utilization": self.utilization,
            "area": asdict(self.area) if self.area else None,
        }


def estimated(
    cores: Mapping[str, CoreConfig],
    shapes: Sequence[tuple[int, int, int]],
    memory: Mapping[str, Any],
    areas: Mapping[str, Area],
) -> list[Estimated]:
    """Returns every product on every core, product by product.

    cores, areas: by the names of designs. memory: keywords of `mixpe.spec.cycles.estimate`.
    """
    return [
        Estimated(name, core, m, k, n, cycles.estimate(m, k, n, core, **memory), areas.get(name))
        for m, k, n in shapes
        for name, core in cores.items()
    ]


@dataclass(frozen=True)
class _Synthesized:
    """What a record of `synth.json` must tell here; without a library it has no area."""

    design: str
    module: str
    library: str | None
    area_um2: float | None


@dataclass(frozen=True)
class Measured:
    """What a record of a `ppa.json` must tell here."""

    kind: str
    configuration: dict[str, Any]
    library: str
    area_um2: float


def synthesized_area(name: str, build: Path) -> Area | None:
    """Returns the area of the whole design in build/<name>/synth.json, if there is one with a library."""
    path = build / name / "synth.json"
    if not path.is_file():
        return None
    for record in _records(path, _Synthesized):
        if record.module == record.design == name and record.area_um2 is not None:
            return Area(record.area_um2, f"design, {record.library}")
    return None


def reported_area(core: CoreConfig, report: Sequence[Measured]) -> Area | None:
    """Returns the least area of the core's array in the records of a `ppa.json`, if the array is there."""
    mine = {key: value for key, value in asdict(core.array).items() if key != "name"}
    found = [
        Area(record.area_um2, f"array, {record.library}")
        for record in report
        if record.kind == "array" and mine.items() <= record.configuration.items()
    ]
    first = [area for area in found if area.what == found[0].what]
    return min(first, key=lambda area: area.um2, default=None)


def read_report(path: Path) -> list[Measured]:
    """Returns the records of a `ppa.json`, but those of cores, whose areas are by block.

    Raises `UserError` that names the file and what is wrong.
    """
    return _records(path, Measured, skipped="core")


def _records(path: Path, cls: type[Held], skipped: str = "") -> list[Held]:
    """Returns the records of a report as objects of `cls`, but those of the kind `skipped`."""
    records = read_json(path, "report")
    if not isinstance(records, list):
        raise UserError(f"report {path} must be a list of records, not {shown(records)}")
    found = []
    for number, record in enumerate(records, 1):
        where = f"report {path}: record {number}"
        if not isinstance(record, dict):
            raise UserError(f"{where} must be an object, not {shown(record)}")
        if not skipped or record.get("kind") != skipped:
            found.append(read_as(cls, record, where, foreign=True))
    return found
