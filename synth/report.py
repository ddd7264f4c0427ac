"""Areas of a design: its modules, a table, and `synth.json`."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..spec.array import Config
from ..spec.core import CoreConfig, ram_size
from .flow import Cells, Recipe, Synthesis
from .liberty import Library
from .yosys import yosys_version


@dataclass(frozen=True)
class Part:
    """A module worth a line of the report. `macs` is its products per cycle, None where it makes none."""

    module: str
    title: str
    macs: int | None = None


CORE_PARTS = {
    "registers": "register file",
    "commands": "command queue",
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
"""What a core may hold besides its array: the ends of module names, and titles."""


def parts(config: Config | CoreConfig) -> list[Part]:
    """The modules of a design, from the smallest up. A design may lack some."""
    if isinstance(config, Config):
        return _array_parts(config, "top")
    array = _array_parts(config.array, "engine")
    blocks = [Part(f"{config.name}_{end}", title) for end, title in CORE_PARTS.items()]
    return [*array, *blocks, Part(config.name, "core", array[-1].macs)]


def _array_parts(config: Config, title: str) -> list[Part]:
    name, lanes = config.name, config.lanes
    macs = config.rows * config.cols * lanes
    return [
        Part(f"{name}_pe", "PE", lanes),
        Part(f"{name}_row", "row of PEs", config.cols * lanes),
        Part(f"{name}_array", "array", macs),
        Part(f"{name}_aligner", "aligner"),
        Part(f"{name}_column", "dequantizer"),
        Part(name, title, macs),
    ]


def records(
    config: Config | CoreConfig, synthesis: Synthesis, library: Library | None, recipe: Recipe
) -> list[dict[str, Any]]:
    """One record a module: what was synthesized, with what, and what came out. Areas in um2.

    Without a library, areas are None and `cells_by_type` counts Yosys's generic gates. `memories` lists the
    on-chip memories in the module and below it, which neither cells nor areas count.
    """
    flow = {
        "library": library.name if library else None,
        "corner": library.corner if library else None,
        "liberty_files": [
            {
                "file": file.source.name,
                "sha256": file.sha256,
                "library": file.library,
                "voltage_v": file.voltage,
                "temperature_c": file.temperature,
            }
            for file in (library.files if library else ())
        ],
        "recipe": asdict(recipe),
        "tools": {"yosys": yosys_version()},
    }
    return [
        {
            "design": config.name,
            "module": part.module,
            "part": part.title,
            "configuration": asdict(config),
            **_figures(part, synthesis.cells[part.module]),
            "memories": _memories(config.name, synthesis.cells[part.module]),
            "instances": synthesis.instances[part.module],
            **flow,
        }
        for part in parts(config)
        if part.module in synthesis.cells
    ]


def _figures(part: Part, cells: Cells) -> dict[str, Any]:
    per_mac = cells.area / part.macs if cells.area is not None and part.macs else None
    return {
        "macs_per_cycle": part.macs,
        "cells": cells.total,
        "cells_registers": cells.registers,
        "cells_logic": cells.logic,
        "cells_by_type": cells.by_type,
        "area_um2": _rounded(cells.area),
        "area_registers_um2": _rounded(cells.area_registers),
        "area_logic_um2": _rounded(cells.area_logic),
        "area_per_mac_um2": _rounded(per_mac),
    }


def _memories(design: str, cells: Cells) -> list[dict[str, Any]]:
    """Sizes of the on-chip memories; `bits`: of all of one size together."""
    found = []
    for module, count in cells.memories.items():
        if size := ram_size(design, module):
            depth, width = size
            bits = count * depth * width
            found.append({"module": module, "count": count, "depth": depth, "width": width, "bits": bits})
    return found


def _rounded(value: float | None) -> float | None:
    """Sums of decimal areas without the noise of binary fractions."""
    return None if value is None else round(value, 6)


def to_json(found: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(found), indent=2) + "\n"


def table(found: list[dict[str, Any]]) -> Table:
    """The records as a table: areas with a library (`per MAC`: for a product every cycle) or gate counts.

    A design with on-chip memories has a column of what every module holds, and a row for each size of them.
    """
    first, memories = found[0], found[-1]["memories"]
    apart = " without memories" if memories else ""
    if first["library"] is not None:
        corner = f" ({first['corner']})" if first["corner"] else ""
        title = f"{first['design']}: {first['library']}{corner}, areas in um2{apart}"
        columns = {
            "area": "area_um2",
            "registers": "area_registers_um2",
            "logic": "area_logic_um2",
            "per MAC": "area_per_mac_um2",
        }
    else:
        title = f"{first['design']}: generic gates{apart}"
        columns = {"registers": "cells_registers", "logic": "cells_logic"}
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("module", no_wrap=True)
    for column in ("count", "cells", *columns, *(["KiB"] if memories else [])):
        shown.add_column(column, justify="right", no_wrap=True)
    for record in found:
        counts = [f"{record[key]:,}" for key in ("instances", "cells")]
        values = [_number(record[key]) for key in columns.values()]
        held = [_kib(record["memories"])] if memories else []
        part = record["part"] + (apart if record is found[-1] else "")
        shown.add_row(part, *counts, *values, *held)
    if memories:
        shown.add_section()
    for each in memories:
        size = f"memory {each['depth']} x {each['width']}"
        shown.add_row(size, f"{each['count']:,}", *["-"] * (1 + len(columns)), _kib([each]))
    return shown


def _kib(memories: list[dict[str, Any]]) -> str:
    bits = sum(each["bits"] for each in memories)
    return f"{bits / 8192:,.2f}" if bits else "-"


def _number(value: float | None) -> str:
    """Whole numbers from 1000 up, three or four digits below: areas run from 30 (7 nm) to millions."""
    if value is None:
        return "-"
    return (
        f"{value:,.0f}"
        if value >= 1000 or isinstance(value, int)
        else f"{value:,.{1 if value >= 100 else 2}f}"
    )
