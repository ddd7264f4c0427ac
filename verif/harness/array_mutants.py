"""Mutants of an array, each to be killed by the testbench that ships, or proved equal."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mixpe.gen.testbench import testbench
from mixpe.gen.write import design_verilog
from mixpe.hw.array.drain import taps
from mixpe.spec.array import Config
from verif.harness.mutation import Mutant, Mutated
from verif.harness.verdicts import Verdict, listed

_RUN_SECONDS = 120
"""Processor time after which a run counts as endless: a fault may make a loop without a register."""


_LISTED = (
    (
        r"^ints_column_multiplier \$reduce_or\$246\.Y\[0\] .*const0$",
        "a sum of six products times a scale has 25 bits at most: none is below the one that rounds",
    ),
    (
        r"^carry_drain \$ternary\$561\.B\[0\] const1$",
        "a row is written soon after each reset, before a tile's first group, which overwrites it",
    ),
    (
        r"^(fpfour_drain \$procdff\$906|banked_drain \$procdff\$1085)\.CLK\[0\] inv$",
        "the mark of a first or last group comes a cycle early, when no item is there: groups end later",
    ),
    (
        r"^aligned \S+ \(column\d+__group_code\[[0-4]\]\) cnot\d 7$",
        "the exponent of a group with an infinity does not count",
    ),
    (
        r" (sums_\d+|words)\.WR_CLK\[0\] \(clk\[0\]\) inv$",
        "a word is written half a cycle early, and stands by then",
    ),
    (
        r" (sums_\d+|words)\.WR_EN\[\d+\] const1$",
        "Yosys makes the address unknown while nothing is to be written; nothing is written there",
    ),
)
"""Keys of mutants that may live, neither killed nor proved, as regular expressions, and why."""


def reason(mutant: Mutant) -> str | None:
    """Returns why a mutant that is neither killed nor proved equal may live; None if nothing is known."""
    return listed(mutant, _LISTED)


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
            verdicts.append(_proved(mutated, mutant, config) if prove else Verdict(mutant, "alive"))
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


def _proved(mutated: Mutated, mutant: Mutant, config: Config) -> Verdict:
    """Looks for a proof that the mutant's module does the same, or a module around it."""
    for scope in _scopes(mutated.top, mutant.module):
        fate = "equal" if scope == mutant.module else "unseen"
        proved = mutated.step_equal(mutant, scope, 5)
        # Of a whole array's states, ABC finds the invariants in minutes only.
        if proved or (scope != mutated.top and mutated.always_equal(mutant, scope, 10)):
            return Verdict(mutant, fate, scope)
    if mutant.module == f"{config.name}_drain" and mutated.always_equal(
        mutant, mutant.module, 10, _valid_rows(config)
    ):
        return Verdict(mutant, "unseen", "rows that are none")
    return Verdict(mutant, "alive")


def _valid_rows(config: Config) -> dict[str, str]:
    """Returns, for bits of the drain control's outputs, which of its registers says that there is a row."""
    outputs = [
        (tap.outputs, tap.width, tap.stage, config.lags, "valid")
        for tap in taps(config)
        if tap.line in ("row", "col", "slot", "first")
    ]
    if config.banked:
        lags = [col // config.cluster for col in range(config.cols)]
        outputs.append(("arrive_words", config.held_word_bits, config.bus_latency, lags, "arrives"))
        outputs.append(("follow_row", config.segment_row_bits, config.sum_latency - 1, (0,), "valid"))
    return {
        f"{name}[{place * width + bit}]" if len(lags) * width > 1 else name: f"{valid}{stage + lag}"
        for name, width, stage, lags, valid in outputs
        for place, lag in enumerate(lags)
        for bit in range(width)
    }


def _scopes(top: str, module: str) -> list[str]:
    """The module, that which holds it by name, and the whole array."""
    scopes = [module]
    scopes += [f"{top}_{part}" for part in ("column", "conversion") if module.startswith(f"{top}_{part}_")]
    return scopes if module == top else [*scopes, top]
