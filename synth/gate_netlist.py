"""A mapped netlist as one flat list of its cells' instances."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..spec.errors import UserError
from .cells import Bit, CellModels
from .yosys import run_yosys


@dataclass(frozen=True)
class GateInstance:
    """A cell at `path` (instance names joined by "/"); its pins' nets by number, or constants "0", "1"."""

    path: str
    cell: str
    pins: dict[str, Bit]


@dataclass
class GateNetlist:
    """A mapped netlist with its hierarchy dissolved.

    ports: of the top module, by name: direction ("input", "output") and nets, the lowest bit first.
    """

    top: str
    instances: list[GateInstance]
    ports: dict[str, tuple[str, tuple[Bit, ...]]]

    @cached_property
    def nets(self) -> list[int]:
        """Returns all nets by number, in ascending order."""
        bits: Iterable[Bit] = itertools.chain(
            (bit for instance in self.instances for bit in instance.pins.values()),
            (bit for _, own in self.ports.values() for bit in own),
        )
        return sorted({bit for bit in bits if isinstance(bit, int)})


def read_gates(netlist: Path, top: str, models: CellModels, folder: Path, log: Path) -> GateNetlist:
    """Reads module `top` of the mapped Verilog file `netlist`.

    Raises `UserError` for a cell that the library lacks.
    """
    script = f"read_verilog {netlist.resolve()}\nhierarchy -top {top}\nwrite_json mixpe_netlist.json\n"
    run_yosys(script, folder, log)
    modules = json.loads((folder / "mixpe_netlist.json").read_text(encoding="utf-8"))["modules"]
    return _Flattener(modules, models).flatten(top)


class _Flattener:
    def __init__(self, modules: dict[str, Any], models: CellModels):
        self._modules, self._models = modules, models
        self._parent: list[int] = []
        self._constants: dict[int, str] = {}

    def flatten(self, top: str) -> GateNetlist:
        ports = {
            name: (port["direction"], tuple(self._new() for _ in port["bits"]))
            for name, port in self._modules[top]["ports"].items()
        }
        instances = list(self._visit(top, "", {name: list(bits) for name, (_, bits) in ports.items()}))
        return GateNetlist(
            top,
            [
                GateInstance(g.path, g.cell, {pin: self._final(bit) for pin, bit in g.pins.items()})
                for g in instances
            ],
            {name: (way, tuple(self._final(bit) for bit in bits)) for name, (way, bits) in ports.items()},
        )

    def _new(self) -> int:
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def _root(self, net: int) -> int:
        while self._parent[net] != net:
            self._parent[net] = self._parent[self._parent[net]]
            net = self._parent[net]
        return net

    def _final(self, bit: Bit) -> Bit:
        if isinstance(bit, str):
            return bit
        root = self._root(bit)
        return self._constants.get(root, root)

    def _join(self, left: Bit, right: Bit) -> None:
        """Makes two names of a net one; a constant may be on either side."""
        if isinstance(left, str):
            left, right = right, left
        if isinstance(left, str):
            return
        root = self._root(left)
        if isinstance(right, str):
            self._constants[root] = right
            return
        other = self._root(right)
        self._parent[other] = root
        if other in self._constants:
            self._constants[root] = self._constants.pop(other)

    def _visit(self, module: str, path: str, outer: dict[str, list[Bit]]) -> Iterator[GateInstance]:
        own = self._modules[module]
        nets: dict[Bit, Bit] = {}

        def net(bit: Bit) -> Bit:
            if isinstance(bit, str):
                return bit
            if bit not in nets:
                nets[bit] = self._new()
            return nets[bit]

        for name, port in own["ports"].items():
            # A port the outside leaves open has nets of its own.
            for inner, bit in zip(port["bits"], outer.get(name, [None] * len(port["bits"])), strict=True):
                if bit is None:
                    continue
                if isinstance(inner, str) or inner in nets:
                    self._join(bit, net(inner))
                else:
                    nets[inner] = bit
        for name, cell in own["cells"].items():
            place = f"{path}/{name}" if path else name
            pins = {pin: [net(bit) for bit in bits] for pin, bits in cell["connections"].items()}
            kind = cell["type"]
            if kind in self._modules:
                yield from self._visit(kind, place, pins)
            elif kind in self._models:
                yield GateInstance(place, kind, {pin: bits[0] for pin, bits in pins.items() if bits})
            else:
                raise UserError(f"cell {kind} (instance {place}) is not of the library")
