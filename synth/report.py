"""Areas of a design: its modules, a table, and `synth.json`."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..hw.config import Config
from .flow import Cells, Recipe, Synthesis
from .liberty import Library
from .yosys import yosys_version


@dataclass(frozen=True)
class Part:
    """A module worth a line of the report. `macs` is its products per cycle, None where it makes none."""

    module: str
    title: str
    macs: int | None


def parts(config: Config) -> list[Part]:
    """The modules of a design, from the smallest up. A design may lack some."""
    name, lanes = config.name, config.lanes
    macs = config.rows * config.cols * lanes
    return [
        Part(f"{name}_pe", "PE", lanes),
        Part(f"{name}_row", "row of PEs", config.cols * lanes),
        Part(f"{name}_array", "array", macs),
        Part(f"{name}_aligner", "aligner", None),
        Part(f"{name}_column", "dequantizer", None),
        Part(name, "top", macs),
    ]


def records(
    config: Config, synthesis: Synthesis, library: Library | None, recipe: Recipe
) -> list[dict[str, Any]]:
    """One record a module: what was synthesized, with what, and what came out. Areas in um2.

    Without a library, areas are None and `cells_by_type` counts Yosys's generic gates.
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


def _rounded(value: float | None) -> float | None:
    """Sums of decimal areas without the noise of binary fractions."""
    return None if value is None else round(value, 6)


def to_json(found: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(found), indent=2) + "\n"


def table(found: list[dict[str, Any]]) -> Table:
    """The records as a table: areas with a library (`per MAC`: for a product every cycle) or gate counts."""
    first = found[0]
    if first["library"] is not None:
        corner = f" ({first['corner']})" if first["corner"] else ""
        title = f"{first['design']}: {first['library']}{corner}, areas in um2"
        columns = {
            "area": "area_um2",
            "registers": "area_registers_um2",
            "logic": "area_logic_um2",
            "per MAC": "area_per_mac_um2",
        }
    else:
        title = f"{first['design']}: generic gates"
        columns = {"registers": "cells_registers", "logic": "cells_logic"}
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("module", no_wrap=True)
    for column in ("count", "cells", *columns):
        shown.add_column(column, justify="right", no_wrap=True)
    for record in found:
        counts = [f"{record[key]:,}" for key in ("instances", "cells")]
        shown.add_row(record["part"], *counts, *(_number(record[key]) for key in columns.values()))
    return shown


def _number(value: float | None) -> str:
    """Whole numbers from 1000 up, three or four digits below: areas run from 30 (7 nm) to millions."""
    if value is None:
        return "-"
    return (
        f"{value:,.0f}"
        if value >= 1000 or isinstance(value, int)
        else f"{value:,.{1 if value >= 100 else 2}f}"
    )
