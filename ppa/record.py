"""What was measured, as typed records, and their form in JSON, which is read and written here alone."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.documents import read_as, read_json, shown
from ..support.documents import to_json as json_text
from ..synth.mapping import Way

Element = Literal[
    "pe",
    "dequantize_first",
    "bit_fusion",
    "float_mac",
    "float_mac_fp16",
    "dequantize_first_float",
    "array",
    "outside",
]
Role = Literal["mixpe", "baseline", "competitor"]
Kind = Literal["pe", "array"]

_HINT = "measure again with `mixpe ppa`"


@dataclass(frozen=True)
class Built:
    """What a design is: a configuration, and what is built of it.

    element: a processing element or a whole array of MixPE's, or one of those that it must beat
        (`mixpe.ppa.elements`). "outside": Verilog from outside this package, of which `config` tells only the
        number formats, the group and the lanes.
    bricks: for "bit_fusion", the bits of the weights and of the activations that it multiplies.
    pipelined: for elements that dequantize first, a register stands between that and the multiplication.
    """

    config: Config
    element: Element = "pe"
    bricks: tuple[int, int] | None = None
    pipelined: bool = False


@dataclass(frozen=True)
class LibertySource:
    """Names a Liberty file that was used, and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Tools:
    """Holds the versions of the programs that made a record."""

    mixpe: str
    yosys: str
    opensta: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """Holds one design at one point of its area-delay curve, with one library.

    target_ns: the period that was asked for; None for least area.
    energy_breakdown_pj, area_breakdown_um2: by part; the energy is per MAC, the area of the whole design.
    clock_ns: the period of the simulation that gave the energy.
    full_adders, full_adder_floor: full adders of the bit heap, and their least number; None without a heap.
    clock_gate: the library's cell for enables of words; "" where they are multiplexers, for lack of one or as
        the recipe has it.
    docs/measuring.md describes every field.
    """

    design: str
    title: str
    role: Role
    kind: Kind
    built: Built
    library: str
    corner: str | None
    voltage_v: float | None
    temperature_c: float | None
    target_ns: float | None
    area_um2: float
    area_registers_um2: float
    area_clock_gates_um2: float
    area_adders_um2: float
    area_logic_um2: float
    min_period_ns: float
    critical_path: str
    energy_pj_per_mac: float
    energy_breakdown_pj: dict[str, float]
    area_breakdown_um2: dict[str, float]
    leakage_uw: float
    macs_per_cycle: int
    area_per_mac_um2: float
    area_delay_um2_ns_per_mac: float
    energy_delay_pj_ns_per_mac: float
    full_adders: int | None
    full_adder_floor: int | None
    operands: str
    clock_ns: float
    recipe: Way
    clock_gate: str
    tools: Tools
    liberty_files: tuple[LibertySource, ...]


@dataclass(frozen=True)
class Block:
    """Holds the area of one kind of block of a core: of one instance, in um2, and how many there are.

    memory_bits: the on-chip memories in one instance, which no area counts.
    """

    block: str
    instances: int
    area_um2: float
    area_per_mac_um2: float | None
    memory_bits: int


@dataclass(frozen=True, kw_only=True)
class CoreRecord:
    """Holds the area of an accelerator core by block, with one library.

    A core has no period and no energy here: its memories come from a memory compiler. Its array has both, in
    a `Record` of its own. clock_gate: as in a `Record`.
    """

    design: str
    title: str
    core: CoreConfig
    library: str
    corner: str | None
    blocks: tuple[Block, ...]
    clock_gate: str
    tools: Tools
    liberty_files: tuple[LibertySource, ...]


AnyRecord = Record | CoreRecord


def to_values(record: AnyRecord) -> dict[str, Any]:
    """Returns `record` as JSON holds it; `from_values` is the inverse."""
    values = cast(dict[str, Any], json.loads(json.dumps(asdict(record))))
    if isinstance(record, CoreRecord):
        return {"kind": "core", **values}
    built = values.pop("built")
    return _replaced(values, "kind", "configuration", built.pop("config") | built)


def _replaced(values: dict[str, Any], after: str, name: str, value: Any) -> dict[str, Any]:
    """Returns `values` with an entry more, behind the entry `after`."""
    found = {}
    for key, own in values.items():
        found[key] = own
        if key == after:
            found[name] = value
    return found


def to_json(records: Iterable[AnyRecord]) -> str:
    """Returns the text of a `ppa.json`: the list of `records`, in the order given."""
    return json_text([to_values(record) for record in records])


def from_values(values: Any, where: str) -> AnyRecord:
    """Returns the record that `values`, as JSON holds it, describe.

    Raises `UserError`, which begins with `where`, for a field that is missing, unknown or of another type.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where} must be a record of `mixpe ppa`, not {shown(values)}")
    given = dict(values)
    if given.get("kind") == "core":
        del given["kind"]
        return read_as(CoreRecord, given, where, hint=_HINT)
    if isinstance(own := given.get("configuration"), dict):
        names = {field.name for field in fields(Built)} - {"config"}
        config = {name: value for name, value in own.items() if name not in names}
        built = {name: value for name, value in own.items() if name in names}
        given["configuration"] = {"config": config, **built}
    return read_as(Record, given, where, names={"built": "configuration"}, hint=_HINT)


def read_report(path: Path) -> list[AnyRecord]:
    """Returns the records of a `ppa.json`. Raises `UserError` that names the file and what is wrong."""
    values = read_json(path, "report")
    if not isinstance(values, list):
        raise UserError(f"report {path} must be a ppa.json of `mixpe ppa`: a list of its records")
    return [from_values(each, f"report {path}: record {number}") for number, each in enumerate(values, 1)]
