"""A test of the tests: broken cores, one defect at a time, must not pass the benches of `simulate_core`."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mixpe.gen.verilog import convert
from mixpe.gen.write import design_verilog
from mixpe.hw.core import core as sound
from mixpe.sim.cocotb.runner import SimulationError
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from verif.harness.broken import broken_module, install
from verif.harness.core import simulate_core
from verif.harness.core_soak import Soak

CONFIG = CoreConfig(
    array=Config(rows=3, cols=2, group=6, lanes=4, zero_point=True, token_scale=True),
    name="mutant",
    data_bits=64,
    burst=16,
    act_words=16,
    weight_words=32,
    scale_words=32,
)
WIDE = replace(CONFIG, array=Config(rows=1, cols=24, group=8, weight_bits=2))
SEED = 5
COMMANDS = 12


@dataclass(frozen=True)
class Defect:
    """In the source `file` of `mixpe.hw.core`, `right` becomes `wrong`; then `test` must fail."""

    file: str
    right: str
    wrong: str
    test: str = "random_commands"
    config: CoreConfig = CONFIG


DEFECTS = {
    "bursts cross their boundary": Defect("loaders", "room = config.burst - place", "room = config.burst"),
    "a row past M is written": Defect("writer", "Mux(row < rows,", "Mux(row <= rows,"),
    "a column past N is written": Defect("writer", "(valid_cols > col)", "(valid_cols >= col)"),
    "the next page is this one": Defect(
        "writer",
        "rest_page.eq(start[(_BOUNDARY - 1).bit_length() :] + 1)",
        "rest_page.eq(start[(_BOUNDARY - 1).bit_length() :])",
        config=WIDE,
    ),
    "done before memory answers": Defect("writer", "coming | ~self.quiet", "coming", "answers_are_awaited"),
    "the last word of a tile is used on": Defect(
        "stream_buffer", "Mux(last, 0, level - per_beat)", "level - per_beat"
    ),
    "a bank is given up after a tile": Defect("bank_buffer", "~fits | end_strip,", "1,"),
    "a bank is read before it is filled": Defect("bank_buffer", "(word >> shift) <", "(word >> shift) <="),
    "token scales of the strip before": Defect("bank_buffer", "cast(first + self.step)", "cast(first)"),
    "long rows are read once": Defect(
        "loaders", "(cols > array.cols) & (self.words > depth)", "cols != cols", "banks"
    ),
    "a group's idle lanes count": Defect("act_feed", "self.tail > lane", "self.tail >= lane"),
    "errors of memory are not seen": Defect(
        "reader", "came & (self.m_axi_rresp >= SLVERR)", "came & (self.m_axi_rresp > SLVERR)", "memory_errors"
    ),
    "refused commands run": Defect(
        "commands", "self.submit & ~self.refused.any()", "self.submit", "illegal_commands"
    ),
    "an abort leaves operands behind": Defect("commands", "self.clear.eq(1)", "self.clear.eq(0)", "abort"),
    "stalls count after the last operands": Defect(
        "core", "due.eq(commands.running & ~fed)", "due.eq(commands.running)", "counters"
    ),
}

NIGHTLY = (
    "the next page is this one",
    "done before memory answers",
    "a bank is read before it is filled",
    "long rows are read once",
)

IN_THE_FAST_SIMULATION = {
    "DECERR is taken for SLVERR": Defect("reader", "Mux(self.m_axi_rresp == SLVERR,", "Mux(1,"),
    "the tag of an error is another": Defect("commands", "Mux(self.running, self.job.tag,", "Mux(0, 0,"),
    "bursts begin in spite of an error": Defect("reader", "& order.w_rdy & ~self.hold", "& order.w_rdy"),
    "a burst's words shift after an error": Defect(
        "reader", "Mux(self.m_axi_rlast, 0, self.index + 1)", "self.index + 1"
    ),
}
"""Compiled by Verilator, which takes longer."""


def broken_verilog(defect: Defect, folder, monkeypatch) -> str:
    """The core's Verilog, of a copy of the source with the defect."""
    broken = broken_module(f"mixpe.hw.core.{defect.file}", defect.right, defect.wrong, folder)
    install(broken, monkeypatch)
    core = broken if defect.file == "core" else sound
    return convert(defect.config.name, lambda modules: core.Core(defect.config, modules))


def run(config: CoreConfig, verilog: str, tests: list[str], folder) -> None:
    simulate_core(config, verilog, "icarus", folder, commands=COMMANDS, testcase=tests, seed=SEED, quiet=True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] * (name in NIGHTLY)) for name in DEFECTS]
)
def test_defect_is_caught(name, tmp_path, monkeypatch):
    defect = DEFECTS[name]
    verilog = broken_verilog(defect, tmp_path, monkeypatch)
    with pytest.raises(SimulationError, match=f"(?s)failed 1 of 1 tests.*{defect.test}"):
        run(defect.config, verilog, [defect.test], tmp_path)


@pytest.mark.parametrize(
    "config", [CONFIG, pytest.param(WIDE, marks=pytest.mark.nightly)], ids=["narrow", "wide"]
)
def test_sound_core_passes(config, tmp_path):
    tests = sorted({defect.test for defect in DEFECTS.values() if defect.config == config})
    run(config, design_verilog(config), tests, tmp_path)


def batches(soak: Soak, count: int) -> None:
    for _ in range(count):
        soak.batch(5)


@pytest.mark.nightly
@pytest.mark.parametrize("name", IN_THE_FAST_SIMULATION)
def test_defect_is_caught_in_the_fast_simulation(name, tmp_path, monkeypatch):
    defect = IN_THE_FAST_SIMULATION[name]
    verilog = broken_verilog(defect, tmp_path, monkeypatch)
    soak = Soak(defect.config, np.random.default_rng(SEED), verilog)
    with pytest.raises(AssertionError):
        batches(soak, 200)
    soak.close()
