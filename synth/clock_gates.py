"""Clock gates: a library's own cell in place of the enable multiplexers of a word.

A flip-flop with an enable keeps its state through a multiplexer, one a bit. A clock gate holds back the
clock of all flip-flops that share an enable instead: one cell a word, and no edge while the word is idle.
"""

from dataclasses import dataclass
from pathlib import Path

from .groups import Group, LibertyText
from .liberty import Library

LEAST = 3
"""Least flip-flops that share an enable to get a clock gate; fewer keep their multiplexers."""

KINDS = ("latch_posedge", "latch_posedge_precontrol", "latch_posedge_postcontrol")
"""Liberty's names of the cells that serve: with a latch, for flip-flops of the rising edge."""

# All flip-flops of Yosys but those whose synchronous reset works without their enable, over which `clockgate`
# passes: they become ones that the enable or the reset lets change.
_KEPT = (
    "$_DFF_?_",
    "$_DFFE_??_",
    "$_DFF_???_",
    "$_DFFE_????_",
    "$_SDFF_???_",
    "$_SDFFCE_????_",
    "$_DFFSR_???_",
    "$_DFFSRE_????_",
    "$_ALDFF_??_",
    "$_ALDFFE_???_",
)


@dataclass(frozen=True)
class ClockGate:
    """A cell that lets through the pulses of a clock for which it was enabled.

    A latch follows the pin `enable` while `clock` is 0; `output` is `clock` while the latch holds 1, else 0.
    The pins `tests` would enable it too, and are 0 wherever the flow places the cell.
    """

    cell: str
    area: float
    clock: str
    enable: str
    output: str
    tests: tuple[str, ...] = ()


def find_gate(library: Library) -> ClockGate | None:
    """Returns the library's clock gate of least area; None where it has none that serves.

    That a library marks its clock gates `dont_use`, as sg13g2 does, keeps mappers from taking them for
    logic, and does not matter here.
    """
    found = clock_gates(library).values()
    return min(found, key=lambda gate: (gate.area, len(gate.tests), gate.cell), default=None)


def clock_gates(library: Library) -> dict[str, ClockGate]:
    """Returns the library's clock gates by name, without those of other kinds or with other pins."""
    found: dict[str, ClockGate] = {}
    for file in library.files:
        if names := [cell.name for cell in file.cells if cell.kind == "clock gate"]:
            text = LibertyText(file.path.read_text(encoding="utf-8", errors="replace"))
            gates = (_gate(text.cell(name), library.cells[name].area) for name in names)
            found |= {gate.cell: gate for gate in gates if gate}
    return found


def _gate(group: Group, area: float | None) -> ClockGate | None:
    if group.get("clock_gating_integrated_cell") not in KINDS or area is None:
        return None
    roles: dict[str, list[str]] = {"clock": [], "enable": [], "out": [], "test": [], "": []}
    for pin in group.all("pin"):
        if pin.get("direction") != "internal":
            roles[_role(pin)] += pin.args
    if [len(roles[role]) for role in ("clock", "enable", "out", "")] != [1, 1, 1, 0]:
        return None
    clock, enable, output = (roles[role][0] for role in ("clock", "enable", "out"))
    return ClockGate(group.args[0], area, clock, enable, output, tuple(roles["test"]))


def _role(pin: Group) -> str:
    """Returns what a pin is for; "" where the file does not say it."""
    for role in ("clock", "enable", "out", "test"):
        if pin.get(f"clock_gate_{role}_pin") == "true":
            return role
    return ""


def gating_commands(gate: ClockGate, folder: Path) -> list[str]:
    """Returns Yosys commands that give a clock gate to `LEAST` flip-flops or more with one enable.

    They work on Yosys's own flip-flops of one bit and the rising edge. `folder` gets a file that declares the
    cell.
    """
    inputs = ", ".join(f"input {pin}" for pin in (gate.clock, gate.enable, *gate.tests))
    text = f"(* blackbox *) module {gate.cell}({inputs}, output {gate.output}); endmodule\n"
    (folder / "clock_gate.v").write_text(text, encoding="utf-8")
    ties = "".join(f" -tie_lo {pin}" for pin in gate.tests)
    return [
        f"dfflegalize -mince {LEAST}{''.join(f' -cell {kind} 01' for kind in _KEPT)}",
        "opt_merge",
        "opt_clean",  # `clockgate` compares enables by name
        "read_verilog clock_gate.v",
        f"clockgate -pos {gate.cell} {gate.enable}:{gate.clock}:{gate.output}{ties} -min_net_size {LEAST}",
    ]
