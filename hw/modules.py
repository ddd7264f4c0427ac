"""Elaborates a component inline, or once for all its places.

Amaranth converts a submodule anew at each of its places, so an array of equal processing elements
costs time and text for each. `Modules` collects such components under their names; each place holds
an `Instance`, and `mixpe.gen` converts every collected component once. Without a `Modules` (None) the
same design elaborates as plain submodules, for Amaranth's simulator and platforms.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetInserter, ResetSignal, ValueLike
from amaranth.lib.wiring import In

from ..spec.errors import UserError
from ..spec.reserved import RESERVED

_MODULE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Modules:
    """Collects the components of one Verilog file, by module name, in the order of first use."""

    def __init__(self):
        self.components: dict[str, Any] = {}

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

        Raises `UserError` for a name that no module can have, or that another component has already.
        """
        made = make()
        kept = self.components.get(module_name)
        if kept is None:
            check_module_name(module_name)
            self.components[module_name] = kept = made
        else:
            vars(made)["_MustUse__used"] = True  # made to compare: Amaranth need not warn that it goes unused
            _check_equal(module_name, kept, made)
        signature = self.components[module_name].signature
        interface = signature.create(path=(name,))
        rst = ResetSignal() if reset is None else ResetSignal() | reset
        ports = {"i_clk": ClockSignal(), "i_rst": rst} if registers else {}
        for path, member, value in signature.flatten(interface):
            direction = "i" if member.flow == In else "o"
            ports[f"{direction}_{'__'.join(str(part) for part in path)}"] = value
        return Instance(module_name, **ports), interface


def check_module_name(name: str) -> None:
    """Raises `UserError` unless `name` can be that of a module in the Verilog."""
    if not _MODULE_NAME.fullmatch(name):
        raise UserError(f"a module's name must be letters, digits and underscores, not {name!r}")
    if name in RESERVED:
        raise UserError(f"a module's name must be no reserved word of Verilog, not {name!r}")


def _check_equal(name: str, kept: Any, made: Any) -> None:
    """Raises `UserError` if the components differ in kind, in ports or in what they are made of."""
    if type(kept) is not type(made):
        kinds = f"a {type(kept).__name__} and a {type(made).__name__}"
        raise UserError(f"module {name} would be two components, {kinds}: give each a name of its own")
    ours, theirs = _parameters(kept), _parameters(made)
    if ours != theirs or kept.signature != made.signature:
        differing = [key for key in ours if ours[key] != theirs.get(key)]
        detail = f", which differ in {', '.join(differing)}" if differing else ""
        raise UserError(
            f"module {name} would be two components of type {type(kept).__name__}{detail}: "
            "give each configuration a name of its own"
        )


def _parameters(component: Any) -> dict[str, Any]:
    """Returns what a component keeps of its arguments, as far as it is plain data."""
    own = (item for item in vars(component).items() if not item[0].startswith("_MustUse"))  # Amaranth's
    return {key: value for key, value in own if _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, (bool, int, float, str, type(None)))


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

    Components of the same `module_name` must be equal: with `modules`, only that of the first place is kept,
    and the interface is one of its signature. Without, it is the component itself.

    `registers`: the component has registers, and with them a clock. `reset` resets them besides the design's
    own reset. Raises `UserError` if `module_name` is that of another component, or none for Verilog.
    """
    if modules is None:
        component = make()
        m.submodules[name] = component if reset is None else ResetInserter(reset)(component)
        return component
    m.submodules[name], interface = modules.instance(name, make, module_name, registers, reset)
    return interface
