"""Areas of a design's modules: a table, and `synth.json`."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..support.documents import to_json as json_text
from .clock_gates import LEAST
from .flow import Cells, Recipe, Synthesis
from .liberty import Library
from .parts import Part, memories, parts
from .yosys import yosys_version


def records(
    config: Config | CoreConfig, synthesis: Synthesis, library: Library | None, recipe: Recipe
) -> list[dict[str, Any]]:
    """Returns a record for each module: what was synthesized, with what, and what came out. Areas in um2.

    `area_per_mac_um2` is what all instances of the module take together of a product per cycle of the design.

    `clock_gate` is the library's cell for enables of words, None where they are multiplexers.

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
        "clock_gate": synthesis.clock_gate or None,
        "tools": {"yosys": yosys_version()},
    }
    return [
        {
            "design": config.name,
            "module": part.module,
            "part": part.title,
            "configuration": asdict(config),
            **_figures(part, synthesis.cells[part.module], synthesis.instances[part.module]),
            "memories": memories(config.name, synthesis.cells[part.module]),
            "instances": synthesis.instances[part.module],
            **flow,
        }
        for part in parts(config)
        if part.module in synthesis.cells
    ]


def _figures(part: Part, cells: Cells, instances: int) -> dict[str, Any]:
    return {
        "macs_per_cycle": part.macs,
        "cells": cells.total,
        "cells_registers": cells.registers,
        "cells_clock_gates": cells.clock_gates,
        "cells_logic": cells.logic,
        "cells_by_type": cells.by_type,
        "area_um2": _rounded(cells.area),
        "area_registers_um2": _rounded(cells.area_registers),
        "area_clock_gates_um2": _rounded(cells.area_clock_gates),
        "area_logic_um2": _rounded(cells.area_logic),
        "area_per_mac_um2": _rounded(part.area_per_mac(cells.area, instances)),
    }


def _rounded(value: float | None) -> float | None:
    """Rounds away the noise of binary fractions in sums of decimal areas."""
    return None if value is None else round(value, 6)


def to_json(found: Iterable[dict[str, Any]]) -> str:
    """Returns the text of `synth.json`."""
    return json_text(list(found))


def table(found: list[dict[str, Any]]) -> Table:
    """Returns the records as a table: areas with a library, else gate counts.

    The column `all per MAC` holds the area of all instances together, for each product per cycle of the
    design. A design with on-chip memories has a column of what every module holds, and a row for each size.
    The caption says what enables are made of.
    """
    first, held = found[0], found[-1]["memories"]
    apart = " without memories" if held else ""
    if first["library"] is not None:
        corner = f" ({first['corner']})" if first["corner"] else ""
        title = f"{first['design']}: {first['library']}{corner}, areas in um2{apart}"
        columns = {
            "area": "area_um2",
            "registers": "area_registers_um2",
            **({"clock gates": "area_clock_gates_um2"} if first["clock_gate"] else {}),
            "logic": "area_logic_um2",
            "all per MAC": "area_per_mac_um2",
        }
    else:
        title = f"{first['design']}: generic gates{apart}"
        columns = {"registers": "cells_registers", "logic": "cells_logic"}
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    shown.caption, shown.caption_justify = _enables(first), "left"
    shown.add_column("module", no_wrap=True)
    for column in ("count", "cells", *columns, *(["KiB"] if held else [])):
        shown.add_column(column, justify="right", no_wrap=True)
    for record in found:
        counts = [f"{record[key]:,}" for key in ("instances", "cells")]
        values = [_number(record[key]) for key in columns.values()]
        kib = [_kib(record["memories"])] if held else []
        part = record["part"] + (apart if record is found[-1] else "")
        shown.add_row(part, *counts, *values, *kib)
    if held:
        shown.add_section()
    for each in held:
        size = f"memory {each['depth']} x {each['width']}"
        shown.add_row(size, f"{each['count']:,}", *["-"] * (1 + len(columns)), _kib([each]))
    return shown


def _enables(record: dict[str, Any]) -> str:
    """Returns what enables of registers are made of, in words."""
    if record["library"] is None:
        return "enables are gates"
    if record["clock_gate"]:
        return f"enables of {LEAST} registers or more are clock gates, {record['clock_gate']}"
    if record["recipe"]["clock_gates"]:
        return f"enables are multiplexers: {record['library']} has no clock gate"
    return "enables are multiplexers"


def _kib(memories: list[dict[str, Any]]) -> str:
    bits = sum(each["bits"] for each in memories)
    return f"{bits / 8192:,.2f}" if bits else "-"


def _number(value: float | None) -> str:
    """Returns whole numbers from 1000 up, else three or four digits: areas run from 30 to millions."""
    if value is None:
        return "-"
    return (
        f"{value:,.0f}"
        if value >= 1000 or isinstance(value, int)
        else f"{value:,.{1 if value >= 100 else 2}f}"
    )
