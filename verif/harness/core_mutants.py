"""Mutants of a core's own modules, each to be killed by what tests cores, or proved equal.

The engine is an array, whose mutants are others' work; the memories of a core hold no logic.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
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
from verif.harness.verdicts import Verdict, listed

WRONG = (AssertionError, SimulationError, RegisterError)
"""What tells that a core is wrong."""


_LISTED = (
    (
        r"_registers .* (\(_108_\[0\]\) const0|\(_074_\[0\]\) const1)$",
        "the high half of a counter, which a read of the low one holds, is 0 for 2**32 cycles",
    ),
    (
        r"_registers .*\[\d+\].* cnot[01] (1[89]|[2-6]\d)$",
        "a bit of a counter depends on one that is 0 for 2**18 cycles",
    ),
    (r"s_axil_a[rw]prot", "nothing looks at AWPROT and ARPROT"),
    (r"m_axi_a[rw]id\[0\]\) const0", "every burst has the ID 0"),
    (
        r"_act_feed .*\((_21_\[\d+\]|_26_\[0\]|_038_\[\d+\]|rows_left\[\d+\]|o__valid\[0\])\) ",
        "rows past M take part, which the writer, as it counts by itself, drops",
    ),
    (
        r"sim_core_token_buffer (\$ternary\$2597\.Y\[6\] .*inv|\$ternary\$2611\.A\[2\] .*const0)$",
        "two rows of token scales fill one word, so that the word's end is the tile's",
    ),
    (
        r"tiny_core_writer \$ternary\$2392\.Y\[9\] .*inv$",
        "a bit is inverted once a row, and a strip has an even number of them",
    ),
    (
        r"tiny_core_(act_buffer \$eq\$180\.A\[3\]|writer \$eq\$2414\.Y\[0\] .*) const1$",
        "two cases of a choice hold at once; Verilog takes the first, which is the right one",
    ),
)
"""Keys of mutants that may live, neither killed nor proved, as regular expressions, and why."""

_BITS = re.compile(r"\.\w+\[(\d+)\].*? (?:const[01]|inv|cnot[01] (\d+))$")
_COUNTS = ("loader", "buffer", "act_feed", "planner", "writer", "core")
_REACHED = 11
"""Bits of counts that the battery goes through to their end."""


def reason(mutant: Mutant) -> str | None:
    """Returns why a mutant that is neither killed nor proved equal may live; None if nothing is known."""
    if why := listed(mutant, _LISTED):
        return why
    found = _BITS.search(mutant.key)
    if not found or not mutant.module.rstrip("0123456789").endswith(_COUNTS):
        return None
    if max(int(bit) for bit in found.groups() if bit) < _REACHED:
        return None
    return "it needs a high bit of a size, or of a count: seen in commands that take hours"


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
    return Mutated(verilog, config.name, counts, seed, folder, zeroed=True)


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
) -> list[Verdict]:
    """Tries the battery on each mutant, and looks for a proof where it finds nothing."""
    verilog = mutated.verilog()
    verilog_library(verilog, config.name)
    assert kill(Design(config, verilog, "+mutant=0"), seeds, commands) is None, "the sound core is refused"
    designs = [Design(config, verilog, f"+mutant={mutant.number}") for mutant in mutated.mutants]
    action = partial(kill, seeds=seeds, commands=commands)
    return [
        _proved(mutated, mutant) if found is None else Verdict(mutant, "killed", found)
        for mutant, found in zip(mutated.mutants, _tried(designs, action, processes), strict=True)
    ]


def _tried(designs: list[Design], action, processes: int) -> Iterator[str | None]:
    if processes == 1:
        yield from map(action, designs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(action, designs)


def _proved(mutated: Mutated, mutant: Mutant) -> Verdict:
    """Looks for a proof that the mutant's module does the same, or one of those around it.

    The whole core takes long: it is asked only of mutants that may not live.
    """
    scope = mutant.module.removeprefix("\\")
    fate = "equal"
    while scope != mutated.top or reason(mutant) is None:
        if mutated.step_equal(mutant, scope, 5) or mutated.always_equal(mutant, scope, 10):
            return Verdict(mutant, fate, scope)
        if scope == mutated.top:
            break
        fate, scope = "unseen", scope.rpartition(".")[0] or mutated.top
    return Verdict(mutant, "alive")
