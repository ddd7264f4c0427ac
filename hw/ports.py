"""Components and their ports; ports that share a prefix, handled as one interface.

A bus standard fixes the names of its ports: `m_axi_arvalid`. So they are members of the component itself, for
a member inside an interface would be called `m_axi__ar__valid` in Verilog. Here such ports are declared, and
connected, by a `Signature` whose members have the names without the prefix.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Member


class Component(wiring.Component):
    """Tells the type checker, too, that a component has attributes which no class body names: its ports.

    Amaranth makes them of the signature when the component is made. The checker takes them for Any.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def prefixed(prefix: str, members: Mapping[str, Member]) -> dict[str, Member]:
    """Returns `members` under names that begin with `prefix`, in the same order."""
    return {f"{prefix}{name}": member for name, member in members.items()}


def by_name(interface: Any) -> dict[str, Value]:
    """Returns the ports of a component, or of an interface that stands for one, by name.

    For ports whose number follows from a list, such as those of a group's members.
    """
    return {str(path[0]): value for path, _, value in interface.signature.flatten(interface)}


class PortGroup:
    """Shows the ports of `component` that `prefixed` declared as an interface of `signature`.

    The member `valid` of the signature is the component's port `<prefix>valid`. `signature` is what the
    component declares: its outputs are the component's outputs. The group can be given to `connect` and
    `flipped` of `amaranth.lib.wiring`. Raises `KeyError` if the component has no such port.
    """

    def __init__(self, component: Any, prefix: str, signature: Any):
        self.signature = signature
        ports = vars(component)
        self.ports: dict[str, Any] = {name: ports[f"{prefix}{name}"] for name in signature.members}
        vars(self).update(self.ports)

    if TYPE_CHECKING:  # the members are attributes

        def __getattr__(self, name: str) -> Any: ...


def lead_out(m: Module, outer: Any, inner: Any, prefix: str, signature: Any) -> None:
    """Connects the ports `<prefix>...` of `inner` with those of the same names of `outer`, around it."""
    outside = PortGroup(outer, prefix, signature)
    wiring.connect(m, PortGroup(inner, prefix, signature), wiring.flipped(outside))
