"""The modules of a design that are worth a line of a report, and the on-chip memories in them."""

from dataclasses import dataclass
from typing import Any

from ..spec.array import Config
from ..spec.core import CoreConfig, ram_size
from .flow import Cells


@dataclass(frozen=True)
class Part:
    """A module worth a line of the report.

    macs: its own products per cycle, None where it makes none. all_macs: those of the whole design.
    """

    module: str
    title: str
    macs: int | None = None
    all_macs: int = 1

    def area_per_mac(self, area: float | None, instances: int) -> float | None:
        """Returns what all `instances`, of `area` each in um2, take of a product per cycle of the design."""
        return None if area is None else area * instances / self.all_macs


CORE_PARTS = {
    "registers": "register file",
    "commands": "command queue",
    "range_check": "range check",
    "planner": "planner",
    "reader": "reader",
    "weight_loader": "weight loader",
    "weight_buffer": "weight buffer",
    "scale_loader": "scale loader",
    "scale_buffer": "scale buffer",
    "act_loader": "activation loader",
    "act_buffer": "activation buffer",
    "act_feed": "activation feed",
    "token_loader": "token scale loader",
    "token_buffer": "token scale buffer",
    "writer": "writer",
    "acts_buffer": "receiver of acts",
    "weights_buffer": "receiver of weights",
    "scales_buffer": "receiver of scales",
    "tokens_buffer": "receiver of tokens",
}
"""Ends of the names of modules that a core may hold besides its array, and their titles."""


def parts(config: Config | CoreConfig) -> list[Part]:
    """Returns the modules of a design, from the smallest up. A design may lack some."""
    if isinstance(config, Config):
        return _array_parts(config, "top")
    array = _array_parts(config.array, "engine")
    macs = array[-1].all_macs
    blocks = [Part(f"{config.name}_{end}", title, None, macs) for end, title in CORE_PARTS.items()]
    return [*array, *blocks, Part(config.name, "core", macs, macs)]


_ROW = {1: "row of PEs", 2: "two rows of PEs"}


def _array_parts(config: Config, title: str) -> list[Part]:
    name, lanes = config.name, config.lanes
    macs = config.rows * config.cols * lanes
    return [
        Part(f"{name}_pe", "PE", lanes, macs),
        Part(f"{name}_pe_beside", "PE beside another", lanes, macs),
        Part(f"{name}_pe_below", "PE below another", lanes, macs),
        Part(f"{name}_pe_below_beside", "PE amid others", lanes, macs),
        Part(f"{name}_row", _ROW[config.cluster], config.cluster * config.cols * lanes, macs),
        Part(f"{name}_array", "array", macs, macs),
        Part(f"{name}_aligner", "aligner", None, macs),
        Part(f"{name}_column", "dequantizer", None, macs),
        Part(f"{name}_conversion", "conversion", None, macs),
        Part(name, title, macs, macs),
    ]


def memories(design: str, cells: Cells) -> list[dict[str, Any]]:
    """Returns sizes of the on-chip memories; `bits` counts all of one size together."""
    found = []
    for module, count in cells.memories.items():
        if size := ram_size(design, module):
            depth, width = size
            bits = count * depth * width
            found.append({"module": module, "count": count, "depth": depth, "width": width, "bits": bits})
    return found


def memory_bits(design: str, cells: Cells) -> int:
    """Returns the bits of all on-chip memories of a module of `design`, and below it."""
    return sum(each["bits"] for each in memories(design, cells))
