"""A small engine with the ports of a core (copy_engine.v), under the model that simulates cores."""

from pathlib import Path
from typing import Any

import numpy as np

from mixpe.sim.fast import SimulatedCore
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

COPY = CoreConfig(name="copy_engine", array=Config(rows=1, cols=1), data_bits=64)
WIDE = CoreConfig(name="copy_engine_wide", array=Config(rows=1, cols=1), data_bits=512)

SOURCE, TARGET, WORDS, BURSTS, RULE, GO = range(0, 24, 4)
"""The engine's registers."""

BASE = 1 << 16
"""Is the address of its memory, whose upper half is where copies go."""

HALF = 1 << 15


def engine(config: CoreConfig = COPY, **options: Any) -> SimulatedCore:
    """Returns the engine beside 64 KiB of random bytes; `options` are those of `SimulatedCore`."""
    verilog = Path(__file__).with_suffix(".v").read_text().replace("NAME", config.name)
    verilog = verilog.replace("DATA_BITS = 64", f"DATA_BITS = {config.data_bits}")
    core = SimulatedCore(
        config, memory_bytes=2 * HALF, memory_base=BASE, verilog=verilog, **({"latency": 5} | options)
    )
    core.memory[:] = np.random.default_rng(3).integers(0, 256, core.memory.size)
    return core


def start(core: SimulatedCore, words: int, bursts: int, *, source: int = 0, target: int = HALF) -> None:
    """Starts a copy of bursts, from and to offsets in its memory."""
    values = {SOURCE: BASE + source, TARGET: BASE + target, WORDS: words, BURSTS: bursts, GO: 1}
    for offset, value in values.items():
        core.write_register(offset, value)


def copy(core: SimulatedCore, words: int, bursts: int) -> int:
    """Copies, and checks the copy. Returns the cycles from the start to the interrupt."""
    size = words * bursts * core.config.word_bytes
    before = core.memory.copy()
    start(core, words, bursts)
    first = core.cycles
    assert core.wait(1_000_000)
    cycles = core.cycles - first
    before[HALF : HALF + size] = before[:size]
    assert (core.memory == before).all()
    assert core.read_register(GO) == bursts
    return cycles
