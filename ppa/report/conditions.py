"""What the figures of a report rest on."""

from collections.abc import Sequence

from ...synth.clock_gates import LEAST
from ..record import AnyRecord, Record
from .text import number

_NOT_COUNTED = (
    "a clock tree, routing (wires load cells by the library's default wire load model, where it has one), "
    "sizing after placement, and memories outside the design"
)


def conditions(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Returns tools, operands, clock, clock gates, recipe, what is not counted, each as (word, text)."""
    operands = list(dict.fromkeys(record.operands for record in records))
    more = f" (and {len(operands) - 1} alike, in ppa.json)" if len(operands) > 1 else ""
    clocks = sorted({record.clock_ns for record in records})
    if len(clocks) == 1:
        clock = f"energy at a clock of {number(clocks[0])} ns"
    else:
        clock = f"energy at clocks of {number(clocks[0])} to {number(clocks[-1])} ns, listed in ppa.json"
    return [
        ("Tools", tools(records)),
        ("Operands", f"{operands[0]}{more}"),
        ("Clock", f"ideal; {clock}"),
        ("Clock gates", clock_gates(records)),
        ("Recipe", "of each point, the best of several mappings, named in ppa.json"),
        ("Not counted", _NOT_COUNTED),
    ]


def clock_gates(records: Sequence[Record]) -> str:
    """Returns what enables of words of registers are made of, in each library."""
    cells = {record.library: record.clock_gate for record in records}
    if not any(record.recipe.clock_gates for record in records):
        return "none, enables are multiplexers"
    used = [f"{cell} ({library})" for library, cell in cells.items() if cell]
    without = [library for library, cell in cells.items() if not cell]
    parts = [f"{', '.join(used)}, for {LEAST} registers with one enable or more"] if used else []
    parts += [f"none in {', '.join(without)}, where enables are multiplexers"] if without else []
    return "; ".join(parts)


def tools(records: Sequence[AnyRecord]) -> str:
    """Returns the programs and their versions, such as "yosys 0.70"."""
    used = [record.tools for record in records]
    versions = {
        "mixpe": [tool.mixpe for tool in used],
        "yosys": [tool.yosys for tool in used],
        "opensta": [tool.opensta for tool in used],
    }
    return ", ".join(f"{name} {' / '.join(dict.fromkeys(found))}" for name, found in versions.items())


def corner(record: Record) -> str:
    """Returns corner, voltage and temperature of a record's library."""
    parts = [record.corner or "unnamed corner"]
    parts += [f"{record.voltage_v:g} V"] if record.voltage_v is not None else []
    parts += [f"{record.temperature_c:g} °C"] if record.temperature_c is not None else []
    return ", ".join(parts)
