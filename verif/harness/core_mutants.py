"""Mutants of a core's own modules, each to be killed by what tests cores, or proved equal.

The engine is an array, whose mutants are others' work; the memories of a core hold no logic.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from mixpe.driver.transport import RegisterError
from mixpe.gen.write import design_verilog
from mixpe.sim.build import verilog_library
from mixpe.sim.fast import SimulationError
from mixpe.spec.core import CoreConfig
from mixpe.synth.parts import CORE_PARTS
from verif.harness.core_battery import battery
from verif.harness.core_bench import Design
from verif.harness.mutation import Mutant, Mutated

WRONG = (AssertionError, SimulationError, RegisterError)
"""What tells that a core is wrong."""


@dataclass
class Verdicts:
    """Holds what became of mutants: those killed by part of the battery, the equal ones, those that live."""

    killed: dict[str, list[Mutant]] = field(default_factory=dict)
    equal: list[Mutant] = field(default_factory=list)
    alive: list[Mutant] = field(default_factory=list)

    def table(self) -> str:
        """Returns the figures of each module as lines of text."""
        killed = [mutant for each in self.killed.values() for mutant in each]
        everything = [*killed, *self.equal, *self.alive]
        lines = [f"{'module':32} {'made':>5} {'killed':>6} {'equal':>5} {'alive':>5}"]
        for module in [*sorted({mutant.module for mutant in everything}), ""]:
            counts = [
                sum(not module or mutant.module == module for mutant in group)
                for group in (everything, killed, self.equal, self.alive)
            ]
            made, dead, same, living = counts
            lines.append(f"{module or 'all':32} {made:5} {dead:6} {same:5} {living:5}")
        return "\n".join(lines)


_PLACE = re.compile(r"\.\w+\[(\d+)\].*? (cnot[01]) (\d+)$")
_COUNTS = ("loader", "buffer", "act_feed", "planner", "range_check", "writer", "core")
_REACHED = 1 << 8
"""Counts that the battery goes through to their end."""


def reason(mutant: Mutant) -> str | None:
    """Returns why a mutant that is neither killed nor proved equal may live; None if nothing is known."""
    if re.search(r"s_axil_a[rw]prot", mutant.place):
        return "nothing looks at AWPROT and ARPROT"
    if found := _PLACE.search(mutant.key):
        bits = int(found[1]), int(found[3])
        if max(bits) >= _REACHED.bit_length() - 1 and mutant.module.rstrip("0123456789").endswith(_COUNTS):
            return "a bit of a count depends on another: seen at the end of counts that no test goes through"
    return None


class _PoweredUp(Mutated):
    """Lets proofs begin with zero in every register. Their inputs are any, so that a reset may come first."""

    def _netlist(self, scope: str) -> str:
        return re.sub(r"^(\.latch .*) [23]$", r"\1 0", super()._netlist(scope), flags=re.MULTILINE)


def parts(config: CoreConfig, verilog: str) -> list[str]:
    """Returns the names of a core's own modules, those below them not among them."""
    names = [config.name, *(f"{config.name}_{end}" for end in CORE_PARTS)]
    return [name for name in names if re.search(rf"^module {name}\(", verilog, re.MULTILINE)]


def make(config: CoreConfig, count: int, seed: int, folder: Path) -> Mutated:
    """Makes about `count` mutants of a core, as many of each of its modules, but more of large ones."""
    verilog = design_verilog(config)
    names = parts(config, verilog)
    shares = {name: verilog.count("\n", *_extent(verilog, name)) ** 0.5 for name in names}
    whole = sum(shares.values())
    counts = {}
    for name, share in shares.items():
        own = max(2, round(count * share / whole))
        counts[f"{name} {name}.*" if _has_children(verilog, name) else name] = own
    return _PoweredUp(verilog, config.name, counts, seed, folder)


def _extent(verilog: str, module: str) -> tuple[int, int]:
    start = verilog.index(f"\nmodule {module}(")
    return start, verilog.index("\nendmodule", start)


def _has_children(verilog: str, module: str) -> bool:
    return f"\nmodule \\{module}." in verilog


def kill(design: Design, seeds: tuple[int, ...], commands: int) -> str | None:
    """Returns which part of the battery finds `design` wrong; None if none does."""
    for seed in seeds:
        passed = "start"
        try:
            for part in battery(design, seed, commands):
                passed = part
        except WRONG:
            return f"behind {passed}"
    return None


def judge(
    mutated: Mutated, config: CoreConfig, *, seeds: tuple[int, ...], commands: int, processes: int = 1
) -> Verdicts:
    """Tries the battery on each mutant, and looks for a proof where it finds nothing."""
    verilog = mutated.verilog()
    verilog_library(verilog, config.name)
    assert kill(Design(config, verilog, "+mutant=0"), seeds, commands) is None, "the sound core is refused"
    designs = [Design(config, verilog, f"+mutant={mutant.number}") for mutant in mutated.mutants]
    verdicts = Verdicts()
    for mutant, found in zip(
        mutated.mutants,
        _tried(designs, partial(kill, seeds=seeds, commands=commands), processes),
        strict=True,
    ):
        if found is not None:
            verdicts.killed.setdefault(found, []).append(mutant)
        elif equal(mutated, mutant):
            verdicts.equal.append(mutant)
        else:
            verdicts.alive.append(mutant)
    return verdicts


def _tried(designs: list[Design], action, processes: int) -> Iterator[str | None]:
    if processes == 1:
        yield from map(action, designs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(action, designs)


def equal(mutated: Mutated, mutant: Mutant) -> bool:
    """Whether a proof is found that the module does the same, or what is around it in one of the core's."""
    scope = mutant.module.removeprefix("\\")
    while scope != mutated.top:
        if mutated.step_equal(mutant, scope, 5) or mutated.always_equal(mutant, scope, 10):
            return True
        if "." not in scope:
            break
        scope = scope.rpartition(".")[0]
    return False
