"""The formulas of docs/core.md against what a simulated core counts; bursts against a walk word by word."""

import random
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest

from mixpe.driver.accelerator import Accelerator
from mixpe.driver.command import Counters
from mixpe.quant.samples import random_operands
from mixpe.sim.fast import SimulatedCore
from mixpe.spec import bursts, layout
from mixpe.spec import cycles as traffic
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

CORE = CoreConfig(array=Config(rows=4, cols=4, group=32, token_scale=True))
"""Of ordinary sizes."""

RAGGED = CoreConfig(
    name="ragged",
    array=Config(rows=6, cols=3, group=6, lanes=2, zero_point=True, out_format="fp16"),
    data_bits=64,
    burst=4,
    outstanding=2,
    act_words=8,
    weight_words=16,
    scale_words=16,
)
"""Its group is no power of two, its rows of results begin within words, and its buffers are small."""


def counted(config: CoreConfig, shapes: Sequence[tuple[int, int, int]], **memory) -> list[Counters]:
    rng, found = np.random.default_rng(1), []
    with SimulatedCore(config, memory_bytes=1 << 20, **memory) as core:
        accelerator = Accelerator(core, config)
        for shape in shapes:
            a, weights, t = random_operands(rng, *shape, config.array)
            loaded = accelerator.load_weights(weights)
            accelerator.matmul(a, loaded, t)
            loaded.free()
            found.append(accelerator.last_counters)
    return found


# Words and bursts


CONFIGS = [
    CORE,
    RAGGED,
    CoreConfig(array=Config(rows=2, cols=5, lanes=4, group=20, act_bits=16, token_scale=True), data_bits=512),
    CoreConfig(array=Config(rows=5, cols=6, group=9, out_format="bf16"), data_bits=64, burst=1, act_words=2),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_row_words(config):
    for n in range(1, 40 * config.array.cols, 7):
        code = config.array.out.bits // 8
        sizes = []
        for first in range(0, n, config.array.cols):
            last = min(first + config.array.cols, n)
            sizes.append(len({col * code // config.word_bytes for col in range(first, last)}))
        found = bursts.row_words(n, config)
        assert sum(count for _, count in found) == len(sizes)
        assert sum(words * count for words, count in found) == sum(sizes)
        assert found[-1] == (sizes[-1], 1)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_read_bursts(config):
    """Against a walk over all words that are read, as long as column tiles and rows fill whole bursts."""
    array, rng = config.array, random.Random(2)
    for _ in range(20):
        m = rng.choice([rng.randint(1, config.burst), 2 * config.burst])
        n = array.cols * rng.choice([rng.randint(1, config.burst), 2 * config.burst])
        k = rng.choice([rng.randint(1, 3 * array.group), rng.randint(1, 900)])
        strips, cols = -(-m // array.rows), -(-n // array.cols)
        acts, weights, scales = bursts.tile_words(k, config)

        def pieces(step: int, first: int, words: int) -> int:
            """Bursts of piece `first`, of `words`, in a region whose pieces are `step` bytes apart."""
            places = range(first * step // config.word_bytes, first * step // config.word_bytes + words)
            return len(list(groupby(places, lambda place: place // config.burst)))

        expected = strips if array.token_scale else 0
        for col in range(cols):
            expected += strips * pieces(layout.weight_tile_bytes(k, array), col, weights)
            expected += strips * pieces(layout.scale_tile_bytes(k, array), col, scales)
        for row in range(m):
            start = row * layout.act_stride(k, array) // config.word_bytes
            # A row is read in blocks of a burst's size, from its own first word on.
            blocks = {(word // config.burst, (start + word) // config.burst) for word in range(acts)}
            expected += len(blocks) * (1 if config.resident(k) else cols)
        assert bursts.read_bursts(m, k, n, config) == expected, (m, k, n)


# Cycles

QUIET = {"latency": 40, "write_latency": 20}
SHAPES = [
    (1, 32, 4),
    (1, 128, 250),
    (3, 12, 60),
    (3, 70, 41),
    (4, 256, 64),
    (7, 33, 30),
    (31, 101, 35),
    (32, 128, 32),
]


@pytest.mark.parametrize(
    ("config", "memory"),
    [
        (CORE, QUIET),
        (CORE, {"latency": 3, "write_latency": 1}),
        (RAGGED, {"latency": 10, "write_latency": 1}),
    ],
    ids=["ordinary", "quick", "ragged"],
)
def test_every_cycle_has_its_counter(config, memory):
    """CYCLES is what the other counters count, and what the formulas say that none of them does."""
    for shape, found in zip(SHAPES, counted(config, SHAPES, **memory), strict=True):
        m, k, n = shape
        drain = traffic.drain_cycles(m, n, config, write_latency=memory["write_latency"])
        idle = traffic.setup_cycles(config) + drain
        assert found.cycles == found.beats + found.stall_read + found.stall_array + idle, shape
        assert found.beats == traffic.beats(m, k, n, config)


def test_compute_bound():
    """Exact, where the array waits for its first operands alone: of one strip, which no other one delays."""
    for shape, found in zip(SHAPES, counted(CORE, SHAPES, **QUIET), strict=True):
        estimate = traffic.estimate(*shape, CORE, **QUIET)
        assert estimate.bound == "compute"
        assert found.stall_array == traffic.array_stalls(*shape, CORE), shape
        if shape[0] <= CORE.array.rows:
            assert found.cycles == estimate.cycles, shape
            assert found.stall_read == estimate.start - traffic.setup_cycles(CORE), shape


LARGE = [(1, 128, 256), (3, 70, 257), (16, 96, 68), (29, 160, 35), (32, 4128, 32)]
"""Of at least 64 tiles; the last one's rows do not fit a bank."""


@pytest.mark.parametrize("bandwidth", [None, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0])
def test_estimate(bandwidth):
    memory = {**QUIET, "bytes_per_cycle": bandwidth}
    for shape, found in zip(LARGE, counted(CORE, LARGE, **memory), strict=True):
        estimate = traffic.estimate(*shape, CORE, **memory)
        assert estimate.cycles == pytest.approx(found.cycles, rel=0.01), shape
        assert max(estimate.compute, estimate.memory) < found.cycles * 1.005
        assert found.read_bytes == traffic.read_bytes(*shape, CORE)
        assert found.write_bytes == traffic.write_bytes(shape[0], shape[2], CORE)


@pytest.mark.parametrize("write_latency", [1, 10, 40])
def test_results_bound_a_product(write_latency):
    """Results that memory takes slowly hold up the array, which is the memory's bound."""
    shapes, memory = [(6, 24, 200), (24, 3, 50)], {"latency": 5, "write_latency": write_latency}
    for shape, found in zip(shapes, counted(RAGGED, shapes, **memory), strict=True):
        estimate = traffic.estimate(*shape, RAGGED, **memory)
        assert estimate.bound == "memory"
        assert abs(estimate.cycles - found.cycles) <= 1, shape


def test_bus_waits_for_requests_first():
    """Scales of short tiles are asked for a word at a time, while the bus has nothing else to do."""
    shape, memory = (256, 64, 4), {**QUIET, "bytes_per_cycle": 4.0}
    (found,) = counted(CORE, [shape], **memory)
    assert traffic.estimate(*shape, CORE, **memory).cycles == pytest.approx(found.cycles, rel=0.005)
