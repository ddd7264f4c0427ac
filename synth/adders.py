"""A library's own full and half adders, found by what they compute, and how Yosys puts them in a design."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from ..spec.errors import UserError
from .cells import CellModel, CellModels, Table
from .liberty import Library

FULL, HALF = "full_adder", "half_adder"
"""What the names of a design's one-bit adders end in."""

_INPUTS = {FULL: ("a", "b", "c"), HALF: ("a", "b")}


@dataclass(frozen=True)
class AdderCell:
    """A cell that adds one-bit `inputs` (of which those in `inverted` come inverted).

    `total`, `carry`: output pin, and whether it gives the inverse.
    """

    cell: str
    area: float
    inputs: tuple[str, ...]
    inverted: frozenset[str]
    total: tuple[str, bool]
    carry: tuple[str, bool]

    @property
    def inverters(self) -> int:
        return len(self.inverted) + self.total[1] + self.carry[1]


def find_adders(library: Library, models: CellModels) -> dict[str, AdderCell]:
    """Returns the library's adder of each kind (`FULL`, `HALF`) with the least area, inverters included."""
    found: dict[str, list[AdderCell]] = {}
    for cell in library.cells.values():
        if cell.kind != "logic" or not cell.usable or cell.area is None or cell.name not in models:
            continue
        try:
            model = models[cell.name]
        except UserError:
            continue  # a tri-state buffer, say
        for kind, names in _INPUTS.items():
            if len(model.inputs) == len(names) and len(model.outputs) == 2:
                found.setdefault(kind, []).extend(_matches(cell.name, cell.area, model))
    inverter = _inverter_area(library, models)
    return {
        kind: min(cells, key=lambda adder: (adder.area + inverter * adder.inverters, adder.cell))
        for kind, cells in found.items()
        if cells
    }


def _matches(cell: str, area: float, model: CellModel) -> Iterable[AdderCell]:
    """Yields the cell as an adder, for each choice of inverted inputs that makes it one."""
    inputs = model.inputs
    tables = {name: table for name, table in model.outputs.items() if isinstance(table, Table)}
    for flips in itertools.product((0, 1), repeat=len(inputs)):
        flip = dict(zip(inputs, flips, strict=True))
        outputs: dict[str, tuple[str, bool]] = {}
        for name, table in tables.items():
            rows = list(itertools.product((0, 1), repeat=len(table.pins)))
            if len(table.pins) != len(inputs):
                continue
            counts = [sum(bit ^ flip[pin] for bit, pin in zip(row, table.pins, strict=True)) for row in rows]
            for port, bit in (("total", 0), ("carry", 1)):
                wanted = [(count >> bit) & 1 for count in counts]
                differs = {value ^ want for value, want in zip(table.values, wanted, strict=True)}
                if len(differs) == 1:
                    outputs[port] = (name, bool(differs.pop()))
        if len(outputs) == 2:
            inverted = frozenset(pin for pin in inputs if flip[pin])
            yield AdderCell(cell, area, inputs, inverted, outputs["total"], outputs["carry"])


def _inverter_area(library: Library, models: CellModels) -> float:
    areas = [
        cell.area
        for cell in library.cells.values()
        if cell.kind == "logic"
        and cell.usable
        and cell.area
        and cell.name in models
        and _is_inverter(models, cell.name)
    ]
    return min(areas, default=0.0)


def _is_inverter(models: CellModels, name: str) -> bool:
    try:
        outputs = list(models[name].outputs.values())
    except UserError:
        return False
    return len(outputs) == 1 and isinstance(outputs[0], Table) and outputs[0].values == (1, 0)


def techmap(adders: dict[str, AdderCell], modules: Iterable[str]) -> str:
    """Returns Verilog for Yosys's `techmap`: the library's cell in place of each of the adder `modules`."""
    names = list(modules)
    return "".join(
        _map(kind, adder, own)
        for kind, adder in adders.items()
        if (own := [name for name in names if name.endswith(f"_{kind}")])
    )


def _map(kind: str, adder: AdderCell, modules: list[str]) -> str:
    pins = [
        f".{pin}({'~' if pin in adder.inverted else ''}{name})"
        for pin, name in zip(adder.inputs, _INPUTS[kind], strict=True)
    ]
    pins += [f".{adder.total[0]}(t)", f".{adder.carry[0]}(k)"]
    return f"""\
(* techmap_celltype = "{" ".join(modules)}" *)
module {kind}({", ".join(_INPUTS[kind])}, total, carry);
  input {", ".join(_INPUTS[kind])};
  output total, carry;
  wire t, k;
  {adder.cell} _TECHMAP_REPLACE_ ({", ".join(pins)});
  assign total = {"~" if adder.total[1] else ""}t;
  assign carry = {"~" if adder.carry[1] else ""}k;
endmodule
"""


def boxes(adders: dict[str, AdderCell]) -> str:
    """Returns Verilog that declares the cells, so that Yosys knows their ports."""
    return "".join(
        f"(* blackbox *) module {adder.cell}(input {', '.join(adder.inputs)}, "
        f"output {adder.total[0]}, {adder.carry[0]}); endmodule\n"
        for adder in {adder.cell: adder for adder in adders.values()}.values()
    )
