"""Mutants of an array, each to be killed by the testbench that ships, or proved equal."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mixpe.gen.testbench import testbench
from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config
from verif.harness.mutation import Mutant, Mutated

_RUN_SECONDS = 120
"""Processor time after which a run counts as endless: a fault may make a loop without a register."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Parameters
    ----------
    fate: "killed" by the testbench; "equal", the module that has it; "unseen", equal in the module around or
    in the whole array, but not by itself; or "alive", nothing of these.
    why: the testbench's last line, or the module of the proof.
    """

    mutant: Mutant
    fate: str
    why: str = ""


FATES = ("killed", "equal", "unseen", "alive")


LISTED: dict[str, str] = {
    "ints_column_multiplier $reduce_or$246.Y[0] (_006_[0]) const0": (
        "a sum of six products of at most 128 * 15 times a scale's 11 bits has 25 bits at most, so that no "
        "bit is left below the one that decides the rounding"
    ),
}
"""Why mutants that are neither killed nor proved may live, by their keys."""


def reason(mutant: Mutant) -> str | None:
    """Returns why a mutant that is neither killed nor proved equal may live; None if nothing is known."""
    return LISTED.get(mutant.key)


def make(config: Config, count: int, seed: int, folder: Path, modules: str = ".*") -> Mutated:
    """Makes about `count` mutants of those modules of an array whose names, without the array's own, match
    `modules`: each has its share by the root of its length."""
    verilog = design_verilog(config)
    found = re.finditer(r"^module (\w+)\(.*?^endmodule$", verilog, re.DOTALL | re.MULTILINE)
    lengths = {match[1]: match[0].count("\n") for match in found}
    shares = {
        name: length**0.5
        for name, length in lengths.items()
        if re.fullmatch(modules, name.removeprefix(config.name).removeprefix("_"))
    }
    whole = sum(shares.values())
    counts = {name: max(1, round(count * share / whole)) for name, share in shares.items()}
    return Mutated(verilog, config.name, counts, seed, folder)


def judge(mutated: Mutated, config: Config, *, processes: int = 1, prove: bool = True) -> list[Verdict]:
    """Runs the testbench that ships on each mutant, and looks for a proof where it says PASS."""
    folder = mutated.folder
    (folder / "bench.v").write_text(testbench(config), encoding="utf-8")
    (folder / "mutants.v").write_text(mutated.verilog(), encoding="utf-8")
    command = ["iverilog", "-g2005", "-o", "mutants.vvp", "bench.v", "mutants.v"]
    subprocess.run(command, cwd=folder, check=True)
    assert _run(folder, 0).startswith("PASS"), "the sound array is refused"
    with ThreadPoolExecutor(processes) as pool:
        lines = list(pool.map(lambda mutant: _run(folder, mutant.number), mutated.mutants))
    verdicts = []
    for mutant, line in zip(mutated.mutants, lines, strict=True):
        if not line.startswith("PASS"):
            verdicts.append(Verdict(mutant, "killed", line))
        else:
            verdicts.append(_proved(mutated, mutant) if prove else Verdict(mutant, "alive"))
    return verdicts


def _run(folder: Path, number: int) -> str:
    """Returns the last line that the testbench prints about a mutant."""
    run = subprocess.run(
        ["sh", "-c", f"ulimit -t {_RUN_SECONDS}; exec vvp -n mutants.vvp +mutant={number}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        return f"endless: status {run.returncode}"
    said = [line for line in run.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
    assert len(said) == 1, run.stdout[-2000:]
    return said[0]


def _proved(mutated: Mutated, mutant: Mutant) -> Verdict:
    """Looks for a proof that the mutant's module does the same, or a module around it."""
    for scope in _scopes(mutated.top, mutant.module):
        fate = "equal" if scope == mutant.module else "unseen"
        proved = mutated.step_equal(mutant, scope, 5)
        # Of a whole array's states, ABC finds the invariants in minutes only.
        if proved or (scope != mutated.top and mutated.always_equal(mutant, scope, 10)):
            return Verdict(mutant, fate, scope)
    return Verdict(mutant, "alive")


def _scopes(top: str, module: str) -> list[str]:
    """The module, that which holds it by name, and the whole array."""
    scopes = [module]
    if module.startswith(f"{top}_column_"):
        scopes.append(f"{top}_column")
    return scopes if module == top else [*scopes, top]


def table(verdicts: list[Verdict]) -> str:
    """Returns the figures of each module as lines of text."""
    lines = [f"{'module':32} {'made':>5} " + " ".join(f"{fate:>6}" for fate in (*FATES, "listed"))]
    for module in [*sorted({each.mutant.module for each in verdicts}), ""]:
        group = [each for each in verdicts if module in ("", each.mutant.module)]
        living = [each for each in group if each.fate == "alive"]
        known = sum(reason(each.mutant) is not None for each in living)
        counts = {fate: sum(each.fate == fate for each in group) for fate in FATES}
        counts |= {"alive": len(living) - known, "listed": known}
        lines.append(f"{module or 'all':32} {len(group):5} " + " ".join(f"{n:6}" for n in counts.values()))
    return "\n".join(lines)
