"""Elaborates a component inline, or once for all its places.

Amaranth converts a submodule anew at each of its places, so an array of equal processing elements
costs time and text for each. `Modules` collects such components under their names; each place holds
an `Instance`, and `mixpe.gen` converts every collected component once. Without a `Modules` (None) the
same design elaborates as plain submodules, for Amaranth's simulator and platforms.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetInserter, ResetSignal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Modules:
    """Collects the components of one Verilog file, by module name, in the order of first use."""

    def __init__(self):
        self.components: dict[str, wiring.Component] = {}

    def instance(
        self,
        name: str,
        make: Callable[[], Any],
        module_name: str,
        registers: bool,
        reset: ValueLike | None,
    ) -> tuple[Instance, object]:
        """Returns an instance of the module `module_name`, made at its first use, and its interface.

        The interface's signals are called after the instance `name`. A module with `registers` has the ports
        `clk` and `rst`, which `reset` raises too.
        """
        if module_name not in self.components:
            self.components[module_name] = make()
        signature = self.components[module_name].signature
        interface = signature.create(path=(name,))
        rst = ResetSignal() if reset is None else ResetSignal() | reset
        ports = {"i_clk": ClockSignal(), "i_rst": rst} if registers else {}
        for path, member, value in signature.flatten(interface):
            direction = "i" if member.flow == In else "o"
            ports[f"{direction}_{'__'.join(str(part) for part in path)}"] = value
        return Instance(module_name, **ports), interface


def place(
    m: Module,
    name: str,
    make: Callable[[], Any],
    modules: Modules | None,
    module_name: str,
    *,
    registers: bool = True,
    reset: ValueLike | None = None,
) -> Any:
    """Adds the component that `make` returns to `m` as the submodule `name`; returns its interface.

    Components of the same `module_name` must be equal: with `modules`, only the first place makes its
    component, and the interface is one of the component's signature. Without, it is the component itself.

    `registers`: the component has registers, and with them a clock. `reset` resets them besides the design's
    own reset.
    """
    if modules is None:
        component = make()
        m.submodules[name] = component if reset is None else ResetInserter(reset)(component)
        return component
    m.submodules[name], interface = modules.instance(name, make, module_name, registers, reset)
    return interface
