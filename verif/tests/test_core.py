"""Whole accelerator cores against the golden model: cocotbext-axi at both ports, under every simulator."""

import pytest

from mixpe.gen.write import design_verilog
from verif.harness.core import simulate_core
from verif.samples.cores import CORES

COMMANDS = 13
"""Of each run; all runs together must make a hundred and more, with random back-pressure."""

RUNS = {
    "icarus": ["3x2, token scales across words"],
    "verilator": [
        "2x3, one of everything, unsigned, 16-bit activations",
        "1x1, a beat for a group, pages as bursts",
        "4x3, ragged groups, zero points, FP16 results",
        "2x2, BF16 as it is",
        "4x4, FP16 aligned, zero points, token scales",
        "2x24, rows of results across pages",
        "3x6, groups of one, 4-bit activations",
    ],
}
OFTEN = (
    "3x2, token scales across words",
    "1x1, a beat for a group, pages as bursts",
    "4x3, ragged groups, zero points, FP16 results",
    "2x2, BF16 as it is",
    "4x4, FP16 aligned, zero points, token scales",
)
"""Cores that run each time; the others do so in nightly."""


@pytest.mark.parametrize(
    ("simulator", "name"),
    [
        pytest.param(simulator, name, marks=[] if name in OFTEN else [pytest.mark.nightly])
        for simulator, names in RUNS.items()
        for name in names
    ],
)
def test_core(simulator, name, tmp_path):
    config = CORES[name]
    simulate_core(config, design_verilog(config), simulator, tmp_path, commands=COMMANDS)


def test_runs_cover():
    """Every configuration runs somewhere, a hundred random commands and more."""
    assert {name for names in RUNS.values() for name in names} == set(CORES)
    assert sum(map(len, RUNS.values())) * COMMANDS >= 100


NIGHTLY = 10_000


@pytest.mark.nightly
@pytest.mark.parametrize("name", CORES)
def test_thousands_of_commands(name, tmp_path):
    config = CORES[name]
    commands = -(-NIGHTLY // len(CORES))
    simulate_core(config, design_verilog(config), "verilator", tmp_path, commands=commands, optimize=True)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in CORES if name not in RUNS["icarus"]])
def test_core_under_icarus(name, tmp_path):
    """Nightly, every core runs under both simulators."""
    config = CORES[name]
    simulate_core(config, design_verilog(config), "icarus", tmp_path, commands=COMMANDS)
