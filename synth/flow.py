"""The synthesis flow: from Verilog to counted cells of a library, or of Yosys's generic gates.

A module that holds registers and is placed in several places is synthesized once and counted as often
as it is placed, so that an array costs the time of one processing element; so are the modules reported
on. Everything else is dissolved into the module that places it. Ports of shared modules stay: a
neighbour's constant or unused output saves no gate. With `flatten`, every reported module is
synthesized alone, with all below it dissolved.

On-chip memories (`mixpe.spec.core.ram_module`) are black boxes: counted, and no cells.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..spec.core import ram_size
from ..spec.errors import UserError
from . import abc_scripts
from .cells import CellModels
from .clock_gates import ClockGate, find_gate, gating_commands
from .liberty import Library
from .netlist import Netlist, is_yosys_register
from .registers import costly_registers
from .yosys import SynthesisError, run_yosys

# Registers become these before generic gates are counted: resets and enables are then gates, as they are
# in a library whose flip-flops have none. Asynchronous resets stay part of the flip-flop.
_GENERIC_REGISTERS = "dfflegalize -cell $_DFF_P_ 01 -cell $_DFF_PP0_ 01 -cell $_DFF_PP1_ 01"


@dataclass(frozen=True)
class Recipe:
    """How to synthesize.

    flatten: dissolve shared modules too.
    booth: Yosys maps `*` to Booth multipliers, else to its default ones. Which is smaller depends on the
        operands and on what stands around the multiplier.
    clock_gates: words of registers get the library's clock gates for their enables
        (`mixpe.synth.clock_gates`), else multiplexers.
    """

    flatten: bool = False
    booth: bool = True
    clock_gates: bool = True


@dataclass(frozen=True)
class Cells:
    """The cells of one module and all below it; areas in um2, None without a library.

    memories: how many on-chip memories of each module there are besides.
    """

    by_type: dict[str, int]
    registers: int
    area: float | None
    area_registers: float | None
    area_adders: float | None = None
    memories: dict[str, int] = field(default_factory=dict)
    clock_gates: int = 0
    area_clock_gates: float | None = None

    @property
    def total(self) -> int:
        return sum(self.by_type.values())

    @property
    def logic(self) -> int:
        return self.total - self.registers - self.clock_gates

    @property
    def area_logic(self) -> float | None:
        """Returns the area of what is neither register nor clock gate nor adder cell."""
        if self.area is None or self.area_registers is None:
            return None
        return self.area - self.area_registers - (self.area_clock_gates or 0.0) - (self.area_adders or 0.0)


@dataclass(frozen=True)
class Synthesis:
    """Cells of each reported module, and how many times the top places it.

    clock_gate: the library's cell that gates clocks; "" where enables are multiplexers, for lack of one or as
        the recipe has it.
    """

    cells: dict[str, Cells]
    instances: dict[str, int]
    clock_gate: str = ""


def synthesize(
    verilog: Path,
    top: str,
    modules: Sequence[str],
    folder: Path,
    log: Path,
    *,
    library: Library | None = None,
    recipe: Recipe = Recipe(),
    progress: Callable[[str], None] | None = None,
) -> Synthesis:
    """Synthesizes module `top` of the file `verilog`; reports `top` and those of `modules` that it places.

    `folder` takes temporary files, `log` what Yosys prints; `progress` is told each step. Without
    `library`, cells are Yosys's generic gates: two-input gates, multiplexers and plain flip-flops.

    Raises `SynthesisError` where Yosys fails, for a latch, a combinational loop, an undriven wire, and a cell
    that is not of the library.
    """
    try:
        shutil.copyfile(verilog, folder / "design.v")
    except OSError as error:
        raise UserError(f"Verilog file {verilog} cannot be read: {error.strerror or error}") from None
    elaborated = elaborate(top, folder, log, progress)
    instances = elaborated.instances(top)
    memories = sorted(name for name in instances if ram_size(top, name))
    reported = list(dict.fromkeys([top, *(name for name in modules if name in instances)]))
    runs, keep = (reported, []) if recipe.flatten else ([top], sorted({*reported, *elaborated.shared(top)}))
    gate = find_gate(library) if library and recipe.clock_gates else None
    gating = gate if has_enables(top, folder) else None
    registers, gates = _mapping(library, gating, folder, log)
    scripts = [
        "read_verilog design.v",
        f"hierarchy -check -top {top}",
        *([f"blackbox {' '.join(memories)}"] if memories else []),
        "design -save source",
    ]
    for number, module in enumerate(runs):
        scripts += [
            "design -load source",
            *gate_commands(module, keep, recipe.booth, registers),
            gates,
            "opt_clean -purge",
            f"tee -q -o cells{number}.json stat -json",
        ]
    run_yosys("\n".join(scripts) + "\n", folder, log, progress)
    cells: dict[str, Cells] = {}
    for number, module in enumerate(runs):
        netlist = Netlist.read(folder / f"cells{number}.json")
        for name in [module] if recipe.flatten else reported:
            cells[name] = count_cells(name, netlist.cells(name), library, memories=memories)
    return Synthesis(cells, {name: instances[name] for name in reported}, gate.cell if gate else "")


def elaborate(top: str, folder: Path, log: Path, progress: Callable[[str], None] | None = None) -> Netlist:
    """Reads `design.v` in `folder` as it was written; refuses undriven wires and combinational loops.

    Leaves in `folder` what `has_enables` reads.
    """
    script = ["read_verilog design.v", f"hierarchy -check -top {top}", "proc", "check -assert"]
    script += ["tee -q -o source.json stat -json", "opt", "tee -q -o enables.json stat -json", ""]
    run_yosys("\n".join(script), folder, log, progress)
    return Netlist.read(folder / "source.json")


def has_enables(top: str, folder: Path) -> bool:
    """Tells whether module `top`, which `elaborate` has read in `folder`, has registers to gate.

    Where it has none, looking for them would still change the order of cells, and with it what ABC finds.
    """
    return Netlist.read(folder / "enables.json").has_enables(top)


def _mapping(
    library: Library | None, gate: ClockGate | None, folder: Path, log: Path
) -> tuple[list[str], str]:
    """Returns Yosys commands that map registers, and the one that maps generic gates."""
    if library is None:
        return [_GENERIC_REGISTERS, "opt -nodffe -nosdff"], "abc"
    (folder / "area.abc").write_text(abc_scripts.script(abc_scripts.DEFAULT), encoding="utf-8")
    registers = register_commands(library, CellModels(library, folder, log), gate, folder)
    return registers, f"abc {library_options(library, folder)} -script area.abc"


def gate_commands(top: str, keep: Sequence[str], booth: bool, registers: Sequence[str]) -> list[str]:
    """Returns Yosys commands from module `top` to generic gates, its registers mapped by `registers`.

    Modules `keep` stay modules, all else is dissolved; a latch is an error.
    """
    return [
        f"hierarchy -check -top {top}",
        *([f"setattr -mod -set keep_hierarchy 1 {' '.join(keep)}"] if keep else []),
        f"synth -flatten -top {top} -latches error{' -booth' if booth else ''}",
        "delete */t:$scopeinfo",
        *registers,
    ]


def register_commands(
    library: Library, models: CellModels, gate: ClockGate | None, folder: Path
) -> list[str]:
    """Returns Yosys commands that map registers to `library`, with the clock gate `gate` if there is one."""
    costly = "".join(f" -dont_use {name}" for name in costly_registers(library, models))
    gating = gating_commands(gate, folder) if gate else []
    return [*gating, f"dfflibmap {library_options(library, folder)}{costly}", "opt"]


def library_options(library: Library, folder: Path) -> str:
    """Returns Yosys's options for mapping to `library`: its files, relative to `folder`, and what not to use.

    Cells that the library marks as not for use or as special (isolation cells, level shifters, always-on)
    are named: sky130 has no `dont_use`, and ABC takes its isolation cells for AND gates.
    """
    files = " ".join(f"-liberty {path.relative_to(folder)}" for path in library.paths)
    return files + "".join(f" -dont_use {name}" for name in library.unusable)


def count_cells(
    module: str,
    counted: Counter[str],
    library: Library | None,
    adders: Collection[str] = (),
    memories: Collection[str] = (),
) -> Cells:
    """Returns the cells of `module`, `counted` by type.

    `adders`: which of the library's cells count as adder cells; `memories`: which types are memories and
    no cells.

    Raises `SynthesisError` for a cell that is not of the library, or no generic gate where there is none.
    """
    by_type = {name: count for name, count in sorted(counted.items()) if name not in memories}
    kinds = {name: _kind(module, name, library) for name in by_type}
    registers, gates = (
        sum(count for name, count in by_type.items() if kinds[name] == kind)
        for kind in ("register", "clock gate")
    )
    area = area_registers = area_adders = area_gates = None
    if library is not None:
        areas = {name: _area(name, library) * count for name, count in by_type.items()}
        area = sum(areas.values())
        area_registers = sum(value for name, value in areas.items() if kinds[name] == "register")
        area_gates = sum(value for name, value in areas.items() if kinds[name] == "clock gate")
        area_adders = sum(value for name, value in areas.items() if name in adders)
    placed = {name: counted[name] for name in memories if counted[name]}
    return Cells(by_type, registers, area, area_registers, area_adders, placed, gates, area_gates)


def _kind(module: str, cell: str, library: Library | None) -> str:
    if library is None:
        if not cell.startswith("$_"):
            raise SynthesisError(f"cell {cell} of module {module} is left unmapped: it is no generic gate")
        return "register" if is_yosys_register(cell) else "logic"
    if cell not in library.cells:
        raise SynthesisError(
            f"cell {cell} of module {module} is left unmapped: library {library.name} has none for it"
        )
    return library.cells[cell].kind


def _area(cell: str, library: Library) -> float:
    if (area := library.cells[cell].area) is None:
        raise UserError(f"library {library.name} gives no area of cell {cell}, which the design uses")
    return area
