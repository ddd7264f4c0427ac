"""Sizes of tiles by the planner, in Amaranth's simulator, and `mixpe.spec.cycles` against counted words."""

# Ports are attributes made from a component's signature.
# pyright: reportAttributeAccessIssue=false

import random

import pytest
from amaranth.sim import Simulator

from mixpe.hw.core.plan import Planner
from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.cycles import divides, planning_cycles

PERIOD = 1e-6
LARGEST_K = (1 << SIZE_BITS) - 1


def core(array: Config, data_bits: int = 64, **sizes: int) -> CoreConfig:
    return CoreConfig(array=array, name="core", data_bits=data_bits, **sizes)


CORES = {
    "groups of one": core(Config(rows=2, cols=3, group=1)),
    "groups of one, lanes": core(Config(rows=2, cols=3, group=1, lanes=8, zero_point=True), 128),
    "power of two": core(Config(rows=2, cols=16, group=128, lanes=4), 512),
    "power of two below the lanes": core(Config(rows=2, cols=5, group=4, lanes=8, weight_bits=3)),
    "lanes divide": core(Config(rows=2, cols=7, group=36, lanes=4, zero_point=True), 256),
    "lanes do not divide": core(Config(rows=2, cols=5, group=30, lanes=4, act_bits=16, weight_bits=8)),
    "ragged, less than a beat": core(Config(rows=2, cols=1, group=7, lanes=8, act_bits=4, weight_bits=2)),
    "three": core(Config(rows=2, cols=128, group=3, lanes=2, weight_bits=8, zero_point=True), 64),
    "largest group": core(Config(rows=2, cols=2, group=65535, lanes=2)),
    "next to the largest": core(Config(rows=2, cols=2, group=16383, lanes=2)),
}


def words(bits: int, config: CoreConfig) -> int:
    return -(-bits // config.data_bits)


def expected(k: int, config: CoreConfig) -> dict[str, int]:
    """Sizes of a tile, from `Config.beats` and the layout."""
    array = config.array
    if k <= 1 << 16:
        beats = array.beats(k)
        assert layout.beats(k, array) == sum(beats)
        groups, count = len(beats), sum(beats)
    else:  # a list of all groups would be long
        groups, rest = -(-k // array.group), k % array.group
        count = k // array.group * len(range(0, array.group, array.lanes)) + len(range(0, rest, array.lanes))
    rest = k % array.group or array.group
    return {
        "beats": count,
        "groups": groups,
        "act_words": words(count * layout.act_beat_bits(array), config),
        "weight_words": words(count * layout.weight_beat_bits(array), config),
        "scale_words": words(groups * layout.scale_beat_bits(array), config),
        "tail": (rest - 1) % array.lanes + 1,
    }


def dimensions(config: CoreConfig, rng: random.Random) -> list[int]:
    array = config.array
    near = {1, array.lanes, array.group, 2 * array.group, 1 << 15, LARGEST_K // array.group * array.group}
    found = {k + step for k in near for step in (-1, 0, 1)} | {LARGEST_K - 1, LARGEST_K}
    found |= {rng.randrange(1, 1 << rng.randint(1, SIZE_BITS)) for _ in range(40)}
    return sorted(k for k in found if 1 <= k <= LARGEST_K)


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_planner(config):
    """Every K in turn, at once after the one before, or later; K is held, as a command's is."""
    planner, rng = Planner(config), random.Random(3)
    assert divides(config) == (config.array.group not in [1 << bit for bit in range(15)])
    ks = dimensions(config, rng)
    rng.shuffle(ks)

    async def testbench(ctx):
        for k in ks:
            ctx.set(planner.k, k)
            ctx.set(planner.start, 1)
            latency = planning_cycles(planner.config)
            for cycle in range(latency):
                assert not ctx.get(planner.done), f"done {latency - cycle} cycles early"
                await ctx.tick()
                ctx.set(planner.start, 0)
            assert ctx.get(planner.done)
            sizes = expected(k, config)
            assert {name: ctx.get(planner.sizes[name]) for name in sizes} == sizes, f"K = {k}"
            for _ in range(rng.choice([1, 1, 2, 5])):
                await ctx.tick()
                assert not ctx.get(planner.done)
            # They stay until the next command.
            assert {name: ctx.get(planner.sizes[name]) for name in sizes} == sizes, f"K = {k}"

    simulator = Simulator(planner)
    simulator.add_clock(PERIOD)
    simulator.add_testbench(testbench)
    simulator.run()


# Traffic, counted word by word


def random_product(rng: random.Random, config: CoreConfig) -> tuple[int, int, int]:
    array = config.array
    return (
        rng.randint(1, 4 * array.rows),
        rng.choice([rng.randint(1, 3 * array.group), rng.randint(1, 20), rng.randint(1, 900)]),
        rng.randint(1, 4 * array.cols),
    )


def touched(first: int, size: int, config: CoreConfig) -> set[int]:
    """The words that `size` bytes from byte `first` of a region are in."""
    return {byte // config.word_bytes for byte in range(first, first + size)}


def bytes_of(bits: int) -> int:
    return -(-bits // 8)


SMALL = {
    "resident": core(Config(rows=3, cols=4, group=6, lanes=4, token_scale=True), 128),
    "not resident": core(Config(rows=3, cols=4, group=8, act_bits=16), burst=1, act_words=2),
    "tokens across words": core(
        Config(rows=5, cols=2, group=9, lanes=2, zero_point=True, token_scale=True), 256
    ),
    "a token in a row": core(Config(rows=1, cols=3, group=5, token_scale=True, out_format="fp16"), 512),
}


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_traffic(config):
    """The formulas against a walk over all tiles that notes each word it needs."""
    array, rng = config.array, random.Random(4)
    residents = set()
    for _ in range(40):
        m, k, n = random_product(rng, config)
        beats, groups = len(beats_of(k, array)), len(range(0, k, array.group))
        read = dict.fromkeys(traffic.read_words(m, k, n, config), 0)
        row = touched(0, bytes_of(beats * layout.act_beat_bits(array)), config)
        count = written = 0
        resident = len(row) <= config.act_words
        residents.add(resident)
        assert config.resident(k) == resident
        for strip in range(0, m, array.rows):
            rows = range(strip, min(strip + array.rows, m))
            if array.token_scale:
                read["token scales"] += len(touched(4 * strip, 4 * len(rows), config))
            for col in range(0, n, array.cols):
                count += beats
                read["weights"] += len(touched(0, bytes_of(beats * layout.weight_beat_bits(array)), config))
                read["scales"] += len(touched(0, bytes_of(groups * layout.scale_beat_bits(array)), config))
                if not resident or col == 0:
                    read["activations"] += len(rows) * len(row)
                written += sum(
                    array.out.bits // 8 for _ in rows for _ in range(col, min(col + array.cols, n))
                )
        assert traffic.beats(m, k, n, config) == count
        assert traffic.read_words(m, k, n, config) == read
        assert traffic.read_bytes(m, k, n, config) == sum(read.values()) * config.word_bytes
        assert traffic.write_bytes(m, n, config) == written
        assert traffic.tiles(m, n, config) == count // beats
    assert (False in residents) == (config is SMALL["not resident"])


def beats_of(k: int, array: Config) -> list[tuple[int, ...]]:
    """The inner indices of each beat."""
    return [
        tuple(range(first, min(first + array.lanes, start + array.group, k)))
        for start in range(0, k, array.group)
        for first in range(start, min(start + array.group, k), array.lanes)
    ]


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_token_words(config):
    """As many as the strip that needs most."""
    array = config.array
    if array.token_scale:
        strips = range(0, 4 * array.rows * config.tokens_per_word, array.rows)
        most = max(len(touched(4 * strip, 4 * array.rows, config)) for strip in strips)
        assert config.token_words == most
