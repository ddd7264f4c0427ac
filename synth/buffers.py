"""Buffers for signals with many sinks, which a placed design gets and ABC leaves out at modules' ports."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ..spec.errors import UserError
from .cells import Bit, CellModels, Table
from .clock_gates import ClockGate
from .liberty import Library

SINKS = 16
"""Most sinks of a signal. A module's port counts as one: inside, it has buffers of its own."""

# Of the library's buffers, the strongest of at most so many times the least one's area.
_AREA_SHARE = 2.0


@dataclass(frozen=True)
class BufferCell:
    """A buffer of the library."""

    cell: str
    input: str
    output: str


def find_buffer(library: Library, models: CellModels) -> BufferCell:
    """Returns the library's buffer of most area, up to twice the least. Raises `UserError` for none."""
    found: list[tuple[float, BufferCell]] = []
    for cell in library.cells.values():
        if cell.kind != "logic" or not cell.usable or not cell.area:
            continue
        try:
            model = models[cell.name]
        except UserError:
            continue
        (name, table), *others = model.outputs.items()
        if not others and isinstance(table, Table) and table.values == (0, 1) and len(model.inputs) == 1:
            found.append((cell.area, BufferCell(cell.name, model.inputs[0], name)))
    if not found:
        raise UserError(f"library {library.name} has no buffer")
    least = min(area for area, _ in found)
    return max(
        ((area, own) for area, own in found if area <= _AREA_SHARE * least),
        key=lambda entry: (entry[0], entry[1].cell),
    )[1]


def buffer_signals(design: dict[str, Any], buffer: BufferCell, models: CellModels) -> None:
    """Adds buffers to the modules of `design`, a netlist as Yosys writes it in JSON, in place.

    Every signal but constants and clocks, on port clk or behind a clock gate, is left at most `SINKS` sinks.
    """
    for module in design["modules"].values():
        _buffer_module(module, design["modules"], buffer, models)


def _buffer_module(
    module: dict[str, Any], modules: dict[str, Any], buffer: BufferCell, models: CellModels
) -> None:
    sinks: dict[Bit, list[tuple[list[Bit], int]]] = defaultdict(list)
    highest = 1
    for cell in module["cells"].values():
        for pin, bits in cell["connections"].items():
            for index, bit in enumerate(bits):
                if isinstance(bit, int):
                    highest = max(highest, bit)
                    if _is_input(cell, pin, modules, models):
                        sinks[bit].append((bits, index))
    for port in module["ports"].values():
        highest = max([highest, *(bit for bit in port["bits"] if isinstance(bit, int))])
    free = _clocks(module, models)
    count = 0
    for net, places in list(sinks.items()):
        level = places
        while net not in free and len(level) > SINKS:
            groups = -(-len(level) // SINKS)
            inputs: list[tuple[list[Bit], int]] = []
            for group in range(groups):
                highest += 1
                count += 1
                for bits, index in level[group::groups]:
                    bits[index] = highest
                connections: dict[str, list[Bit]] = {buffer.input: [net], buffer.output: [highest]}
                module["cells"][f"fanout_buffer{count}"] = {
                    "hide_name": 0,
                    "type": buffer.cell,
                    "parameters": {},
                    "attributes": {},
                    "port_directions": {buffer.input: "input", buffer.output: "output"},
                    "connections": connections,
                }
                inputs.append((connections[buffer.input], 0))
            level = inputs


def _clocks(module: dict[str, Any], models: CellModels) -> set[Bit]:
    """Returns the clocks of a module: they have a tree, which the flow does not build."""
    clocks: set[Bit] = set(module["ports"]["clk"]["bits"]) if "clk" in module["ports"] else set()
    for cell in module["cells"].values():
        if cell["type"] in models:
            outputs = models[cell["type"]].outputs
            for pin, bits in cell["connections"].items():
                clocks |= set(bits) if isinstance(outputs.get(pin), ClockGate) else set()
    return clocks


def _is_input(cell: dict[str, Any], pin: str, modules: dict[str, Any], models: CellModels) -> bool:
    if cell["type"] in modules and pin in modules[cell["type"]]["ports"]:
        return modules[cell["type"]]["ports"][pin]["direction"] == "input"
    return pin in models[cell["type"]].inputs
