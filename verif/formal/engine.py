"""Proves what a `Proof` says, by Yosys and ABC: property directed reachability, which has no bound.

Yosys makes an and-inverter graph of the Verilog, and ABC proves each property by itself.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from mixpe.gen.verilog import convert
from mixpe.hw.modules import Modules
from mixpe.hw.ram import RamModule
from mixpe.support.programs import run_program
from mixpe.synth.yosys import run_yosys

from .aiger import Aiger
from .proof import ASSUMED, REACHED, Proof

_TOP = "proof"

_GRAPH = """\
read_verilog proof.v
read_verilog -overwrite memories.v
{blackboxes}
hierarchy -check -top {top}
cutpoint -blackbox
proc -noopt
flatten
cd {top}
{inners}
delete t:$meminit*
setattr -unset init w:*
memory_collect
memory_map -formal
opt_clean
setundef -undriven -anyseq
{assumptions}
techmap
simplemap
dffunmap
aigmap
opt_clean
write_aiger -map proof.map proof.aig
"""
_LOAD = "read_aiger one.aig; logic; undc; strash; zero; fold; scleanup; "
_INDUCTION = "induction", _LOAD + "scorr -C 100000; scleanup; write_aiger left.aig"
_PDR = "pdr", "read_aiger left.aig; pdr -T {seconds}"
_BOUNDED = "bmc", _LOAD + "bmc3 -T {seconds}"
_OUTPUT = re.compile(r"^output (\d+) \d+ (\S+)$", re.MULTILINE)
_RESET = re.compile(r"^input (\d+) 0 rst$", re.MULTILINE)
_FOUND = re.compile(r"asserted in frame\s+(\d+)")
_DEPTH = re.compile(r"No output asserted in (\d+) frames")


PROVED, BROKE, KEPT, REACHED_IT, MISSED = "proved", "broken", "bounded", "reached", "not reached"


@dataclass(frozen=True)
class Result:
    """Says what came of one property.

    verdict: `PROVED` for good; `BROKE` or `REACHED_IT` by a run of `cycles` cycles; `KEPT` for as many, and
    more are not known; `MISSED`: no run of as many gets there. engine: which found it.
    """

    proof: str
    name: str
    verdict: str
    engine: str
    cycles: int
    seconds: float

    @property
    def good(self) -> bool:
        return self.verdict in (PROVED, REACHED_IT)


class Graph:
    """The and-inverter graph of a proof, in `folder`, which is made if need be."""

    def __init__(self, make: Callable[[Modules], Proof], folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        made: list[tuple[Proof, Modules]] = []

        def keep(modules: Modules) -> Proof:
            made.append((make(modules).seal(), modules))
            return made[0][0]

        (folder / "proof.v").write_text(convert(_TOP, keep), encoding="utf-8")
        self.proof, modules = made[0]
        memories = [
            _memory(name, each) for name, each in modules.components.items() if isinstance(each, RamModule)
        ]
        (folder / "memories.v").write_text("\n".join(memories), encoding="utf-8")
        run_yosys(_script(self.proof), folder, folder / "yosys.log")
        names = (folder / "proof.map").read_text(encoding="utf-8")
        outputs, found = _OUTPUT.findall(names), _RESET.search(names)
        assert found
        self._outputs = {name: int(index) for index, name in outputs if not name.startswith(ASSUMED)}
        self._aiger = Aiger((folder / "proof.aig").read_bytes())
        self._aiger.begin_behind(reset=int(found[1]))

    @property
    def names(self) -> list[str]:
        """Names of the properties and of what is to be reached."""
        return [_name(output) for output in self._outputs]

    def solve(self, seconds: int, only: Collection[str] = ()) -> Iterator[Result]:
        """Yields the result of each property and of each thing to be reached, or of those in `only`.

        `seconds`: what a solver gets for one.
        """
        for output, index in self._outputs.items():
            if not only or _name(output) in only:
                yield self._solve(output, index, seconds)

    def _solve(self, output: str, index: int, seconds: int) -> Result:
        begin = time.perf_counter()
        (self.folder / "one.aig").write_bytes(self._aiger.with_output(index))
        reach = output.startswith(REACHED)
        engine, cycles, found = "", 0, False
        for engine, commands in (_BOUNDED,) if reach else (_INDUCTION, _PDR, _BOUNDED):
            text = self._abc(commands.format(seconds=seconds))
            if match := _FOUND.search(text):
                cycles, found = int(match[1]) + 1, True
                break
            if engine != _BOUNDED[0] and ("Property proved" in text or self._settled()):
                break
            if match := _DEPTH.search(text):
                cycles = int(match[1])
        if reach:
            verdict = REACHED_IT if found else MISSED
        else:
            verdict = BROKE if found else KEPT if engine == _BOUNDED[0] else PROVED
        return Result(self.proof.name, _name(output), verdict, engine, cycles, time.perf_counter() - begin)

    def _settled(self) -> bool:
        """Whether what is left of the graph is the constant 0: no run breaks the property."""
        header, *lines = (self.folder / "left.aig").read_bytes().split(b"\n", 2)
        return header.split()[3:6] == [b"0", b"1", b"0"] and lines[0] == b"0"

    def _abc(self, commands: str) -> str:
        _, text = run_program([_abc_program(), "-c", commands], self.folder)
        return text


def _name(output: str) -> str:
    return output.partition("_")[2]


def _memory(name: str, ram: RamModule) -> str:
    """Returns a module in place of a memory: what is read from it takes any value."""
    ports = {"clk": "input clk", "rst": "input rst"}
    for port, member in ram.signature.members.items():
        way = "input" if member.flow == In else "output"
        ports[port] = f"{way} [{Shape.cast(member.shape).width - 1}:0] {port}"
    return f"module {name}({', '.join(ports.values())});\n  wire used = read;\nendmodule"


def _script(proof: Proof) -> str:
    """Returns the commands that make the graph."""
    inners = [f"delete -input {outer}\nconnect -set {outer} {inner}" for outer, inner in proof.inners.items()]
    return _GRAPH.format(
        top=_TOP,
        blackboxes="\n".join(f"blackbox {each}" for each in proof.cut),
        inners="\n".join(inners),
        assumptions="\n".join(f"add -assume {each}" for each in proof.assumptions),
    )


def _abc_program() -> str:
    """Returns the path of the ABC that comes with `pyosys`."""
    spec = find_spec("pyosys")
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / "yosys-abc")
