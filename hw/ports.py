"""The ports of an interface by name."""

from typing import Any

from amaranth.hdl import Value


def by_name(interface: Any) -> dict[str, Value]:
    """Returns the ports of a component, or of an interface that stands for one, by name.

    For ports whose number follows from a list, such as those of a group's members.
    """
    return {str(path[0]): value for path, _, value in interface.signature.flatten(interface)}
