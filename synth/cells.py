"""What library cells compute."""

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..spec.errors import UserError
from .clock_gates import ClockGate, clock_gates
from .liberty import Library
from .yosys import run_yosys

Bit = int | str
"""A net of a module as Yosys numbers it, or a constant: "0", "1", "x", "z"."""

STATE = "<state>"

_MAX_INPUTS = 9

_GATES: dict[str, Callable[..., int]] = {
    "$_NOT_": lambda a: 1 - a,
    "$_BUF_": lambda a: a,
    "$_AND_": lambda a, b: a & b,
    "$_NAND_": lambda a, b: 1 - (a & b),
    "$_OR_": lambda a, b: a | b,
    "$_NOR_": lambda a, b: 1 - (a | b),
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: 1 - (a ^ b),
    "$_ANDNOT_": lambda a, b: a & (1 - b),
    "$_ORNOT_": lambda a, b: a | (1 - b),
}
# Clear and preset of Yosys's positive-edge flip-flops: pins that are active high, with the value they set.
_REGISTERS: dict[str, tuple[tuple[str, int], ...]] = {
    "$_DFF_P_": (),
    "$_DFF_PP0_": (("R", 0),),
    "$_DFF_PP1_": (("R", 1),),
    "$_DFFSR_PPP_": (("R", 0), ("S", 1)),
}


@dataclass(frozen=True)
class Table:
    """A function of input pins: `values[i]` where the pins, the first the most significant, spell i."""

    pins: tuple[str, ...]
    values: tuple[int, ...]


@dataclass(frozen=True)
class Register:
    """A flip-flop: at a rising `clock`, its state becomes `data`; `forced` holds it at a value while 1.

    The first of `forced` that is 1 wins. Each output is the state or, `inverted`, its complement. In `data`,
    the pin STATE stands for the state itself (an enable flip-flop holds it).
    """

    clock: Table
    data: Table
    forced: tuple[tuple[Table, int], ...]
    inverted: bool


@dataclass(frozen=True)
class CellModel:
    """What each output pin of a cell does."""

    inputs: tuple[str, ...]
    outputs: dict[str, Table | Register | ClockGate]


class CellModels:
    """Models of a library's cells, by name; from the functions of its Liberty files, as Yosys reads them.

    Clock gates have no function there, and are known by their kind (`mixpe.synth.clock_gates`).

    `folder` and `log` serve Yosys. A cell whose model is asked for and cannot be made (a latch, a tri-state
    buffer, no function) raises `UserError`.
    """

    def __init__(self, library: Library, folder: Path, log: Path):
        self._library = library
        names = [f"mixpe_cells{index}.json" for index in range(len(library.paths))]
        script = [
            f"design -reset\nread_liberty -ignore_miss_func {os.path.relpath(path, folder)}\n"
            f"write_json {name}\n"
            for path, name in zip(library.paths, names, strict=True)
        ]
        run_yosys("".join(script), folder, log)
        self._modules: dict[str, dict[str, Any]] = {}
        for name in names:
            self._modules |= json.loads((folder / name).read_text(encoding="utf-8"))["modules"]
        self._models: dict[str, CellModel] = {
            name: CellModel((gate.clock, gate.enable, *gate.tests), {gate.output: gate})
            for name, gate in clock_gates(library).items()
        }

    def __contains__(self, cell: str) -> bool:
        return cell in self._modules or cell in self._models

    def __getitem__(self, cell: str) -> CellModel:
        if cell not in self._models:
            try:
                self._models[cell] = _model(self._modules[cell])
            except (KeyError, _Unmodelled) as error:
                raise UserError(
                    f"library {self._library.name}: cell {cell} cannot be simulated: {error}"
                ) from None
        return self._models[cell]


class _Unmodelled(Exception):
    """Why a cell has no model."""


def _model(module: dict[str, Any]) -> CellModel:
    ports = module["ports"]
    inputs = tuple(name for name, port in ports.items() if port["direction"] == "input")
    sources: dict[Bit, dict[str, Any]] = {}
    for cell in module["cells"].values():
        for pin in ("Y", "Q"):
            for bit in cell["connections"].get(pin, ()):
                sources[bit] = cell
    names: dict[Bit, str] = {ports[name]["bits"][0]: name for name in inputs}
    outputs: dict[str, Table | Register | ClockGate] = {}
    for name, port in ports.items():
        if port["direction"] == "output":
            outputs[name] = _output(port["bits"][0], names, sources)
    if not outputs:
        raise _Unmodelled("it has no output")
    return CellModel(inputs, outputs)


def _output(bit: Bit, names: dict[Bit, str], sources: dict[Bit, dict[str, Any]]) -> Table | Register:
    inverted = False
    state = bit
    while state in sources and sources[state]["type"] in ("$_NOT_", "$_BUF_"):
        inverted ^= sources[state]["type"] == "$_NOT_"
        state = sources[state]["connections"]["A"][0]
    if state not in sources or sources[state]["type"] not in _REGISTERS:
        return _table(bit, names, sources)
    cell = sources[state]
    # A cell's flip-flops are copies of one state, for its two polarities.
    states = {own["connections"]["Q"][0]: STATE for own in sources.values() if own["type"] in _REGISTERS}
    names = names | states
    pins = {pin: _table(bits[0], names, sources) for pin, bits in cell["connections"].items() if pin != "Q"}
    forced = tuple((pins[pin], value) for pin, value in _REGISTERS[cell["type"]])
    return Register(pins["C"], pins["D"], forced, inverted)


def _table(bit: Bit, names: dict[Bit, str], sources: dict[Bit, dict[str, Any]]) -> Table:
    pins: list[str] = []
    gates: list[tuple[Bit, Callable[..., int], list[Bit]]] = []
    seen: set[Bit] = set()

    def visit(at: Bit) -> None:
        if at in seen or at in ("0", "1"):
            return
        seen.add(at)
        if at in names:
            if names[at] not in pins:
                pins.append(names[at])
            return
        cell = sources.get(at)
        if cell is None:
            raise _Unmodelled("an output has no function")
        if cell["type"] not in _GATES:
            raise _Unmodelled(f"it is a {cell['type'].strip('$_').lower()}")
        operands = [cell["connections"][pin][0] for pin in ("A", "B") if pin in cell["connections"]]
        for operand in operands:
            visit(operand)
        gates.append((at, _GATES[cell["type"]], operands))

    visit(bit)
    if len(pins) > _MAX_INPUTS:
        raise _Unmodelled(f"an output depends on {len(pins)} inputs, more than {_MAX_INPUTS}")
    order = tuple(sorted(pins))
    values = []
    for row in itertools.product((0, 1), repeat=len(order)):
        of_pin = dict(zip(order, row, strict=True))
        known: dict[Bit, int] = {"0": 0, "1": 1}
        known |= {at: of_pin[name] for at, name in names.items() if name in of_pin}
        for at, function, operands in gates:
            known[at] = function(*(known[operand] for operand in operands))
        values.append(known[bit])
    return Table(order, tuple(values))
