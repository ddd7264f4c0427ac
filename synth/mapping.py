"""One design mapped onto one library in several ways: small ones, fast ones, with adder cells or without."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..spec.errors import UserError
from . import abc_scripts
from .adders import FULL, HALF, AdderCell, boxes, find_adders, techmap
from .buffers import buffer_signals, find_buffer
from .cells import CellModels
from .clock_gates import find_gate
from .flow import (
    Cells,
    count_cells,
    elaborate,
    gate_commands,
    has_enables,
    library_options,
    register_commands,
)
from .liberty import Library
from .netlist import Netlist
from .yosys import run_yosys

ADDER_CELLS: dict[str, tuple[str, ...]] = {"none": (), "full": (FULL,), "all": (FULL, HALF)}
"""Which of a design's one-bit adders become the library's own cells; the others are dissolved into gates."""


@dataclass(frozen=True)
class Way:
    """One way to map.

    script: of ABC (`mixpe.synth.abc_scripts`), towards `delay_ns` if it is of the timed ones.
    adders: a key of `ADDER_CELLS`. booth: Yosys maps `*` to Booth multipliers, else to its default ones.
    clock_gates: words of registers get the library's clock gates for their enables, if it has any.
    """

    script: str
    adders: str = "none"
    booth: bool = True
    delay_ns: float | None = None
    clock_gates: bool = True


@dataclass(frozen=True)
class Mapping:
    """A mapped netlist, hierarchical if the mapper keeps modules. `cells`: of the top and of those."""

    way: Way
    netlist: Path
    cells: dict[str, Cells]


class Mapper:
    """Maps module `top` of the file `verilog` onto `library`.

    With `hierarchy`, modules `keep` that the design places stay modules, and so do modules with registers
    that it places several times; all else is dissolved, and signals with many sinks get buffers
    (`mixpe.synth.buffers`). `folder` takes all files, `log` what Yosys prints.

    Raises `SynthesisError` where Yosys fails, for a latch, a combinational loop, an undriven wire, and a cell
    that is not of the library.
    """

    def __init__(
        self,
        verilog: Path,
        top: str,
        library: Library,
        folder: Path,
        log: Path,
        *,
        hierarchy: bool = False,
        keep: Sequence[str] = (),
        progress: Callable[[str], None] | None = None,
    ):
        try:
            shutil.copyfile(verilog, folder / "design.v")
        except OSError as error:
            raise UserError(f"Verilog file {verilog} cannot be read: {error.strerror or error}") from None
        self.top, self.library = top, library
        self._folder, self._log, self._progress = folder, log, progress
        self._models = models = CellModels(library, folder, log)
        elaborated = elaborate(top, folder, log, progress)
        self.instances = elaborated.instances(top)
        """How many times the design places each of its modules."""
        self._buffer = find_buffer(library, models) if hierarchy else None
        self._keep = (
            sorted({name for name in keep if name in self.instances} | {top, *elaborated.shared(top)})
            if hierarchy
            else []
        )
        self.multiplies = any(cell.startswith("$mul") for cell in elaborated.cells(top))
        """Whether the design holds a `*`, for which Yosys has two kinds of multipliers."""
        kinds = [name for name in self.instances if name.endswith((f"_{FULL}", f"_{HALF}"))]
        self.clock_gate = find_gate(library)
        """The library's clock gate; None where it has none, and enables are multiplexers."""
        self._gating = self.clock_gate if has_enables(top, folder) else None
        self.adders: dict[str, AdderCell] = find_adders(library, models) if kinds else {}
        """Adder cells of the library, by kind, if the design has one-bit adders."""
        self._adder_modules = kinds
        self._synthesized: set[str] = set()
        self._count = 0

    def map(self, ways: Sequence[Way]) -> list[Mapping]:
        """Returns the netlists of `ways`, in one run of Yosys."""
        script: list[str] = []
        states = {_state(way): way for way in ways}
        for state, way in states.items():
            if state not in self._synthesized:
                script += self._synthesize(way)
        numbers = range(self._count, self._count + len(ways))
        self._count += len(ways)
        for number, way in zip(numbers, ways, strict=True):
            script += self._map(number, way)
        run_yosys("\n".join(script) + "\n", self._folder, self._log, self._progress)
        if self._buffer:
            script = []
            for number in numbers:
                path = self._folder / f"{number}_mapped.json"
                design = json.loads(path.read_text(encoding="utf-8"))
                buffer_signals(design, self._buffer, self._models)
                path.write_text(json.dumps(design), encoding="utf-8")
                script += ["design -reset", f"read_json {number}_mapped.json", *_write(number)]
            run_yosys("\n".join(script) + "\n", self._folder, self._log, self._progress)
        self._synthesized |= states.keys()
        return [self._read(number, way) for number, way in zip(numbers, ways, strict=True)]

    def _synthesize(self, way: Way) -> list[str]:
        """Returns commands that leave gates, the library's flip-flops, clock gates and adders in a file."""
        adders = way.adders
        chosen = {kind: self.adders[kind] for kind in ADDER_CELLS[adders] if kind in self.adders}
        commands = ["design -reset", "read_verilog design.v"]
        if chosen:
            (self._folder / f"{adders}_boxes.v").write_text(boxes(chosen), encoding="utf-8")
            (self._folder / f"{adders}_map.v").write_text(
                techmap(chosen, self._adder_modules), encoding="utf-8"
            )
            commands += [f"read_verilog {adders}_boxes.v", f"techmap -map {adders}_map.v"]
        gate = self._gating if way.clock_gates else None
        registers = register_commands(self.library, self._models, gate, self._folder)
        commands += gate_commands(self.top, self._keep, way.booth, registers)
        return [*commands, f"write_rtlil {_state(way)}"]

    def _map(self, number: int, way: Way) -> list[str]:
        delay_ps = None if way.delay_ns is None else way.delay_ns * 1000
        script = abc_scripts.script(way.script, delay_ps)
        (self._folder / f"{number}.abc").write_text(script, encoding="utf-8")
        return [
            "design -reset",
            f"read_rtlil {_state(way)}",
            f"abc {library_options(self.library, self._folder)} -script {number}.abc",
            "setundef -zero",
            "opt_clean -purge",
            *([f"write_json {number}_mapped.json"] if self._buffer else _write(number)),
        ]

    def _read(self, number: int, way: Way) -> Mapping:
        netlist = Netlist.read(self._folder / f"{number}.json")
        adders = {adder.cell for adder in self.adders.values()}
        cells = {
            name: count_cells(name, netlist.cells(name), self.library, adders)
            for name in self._keep or [self.top]
        }
        return Mapping(way, self._folder / f"{number}.v", cells)


def _write(number: int) -> list[str]:
    """Returns commands that write a netlist, and its cells' counts."""
    return [
        f"tee -q -o {number}.json stat -json",
        "splitnets",
        "opt_clean -purge",
        f"write_verilog -simple-lhs -noattr -noexpr -nohex {number}.v",
    ]


def _state(way: Way) -> str:
    """Returns the name of the file in which a design stands as `way` has it before ABC."""
    multiplier, enables = "booth" if way.booth else "default", "gates" if way.clock_gates else "multiplexers"
    return f"{way.adders}_{multiplier}_{enables}.il"
