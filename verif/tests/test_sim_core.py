"""A small core, simulated, behind the driver: products, faults, illegal commands, aborts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mixpe.driver.accelerator import Accelerator
from mixpe.driver.command import Command, CommandError, HangError
from mixpe.driver.transport import RegisterError
from mixpe.sim.fast import SimulatedCore, SimulationError
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import Error, register
from verif.harness.copy_engine import copy, engine
from verif.samples.products import Product, random_product, same

CORE = CoreConfig(
    name="sim_core",
    array=Config(rows=2, cols=3, group=7, lanes=2, weight_signed=False, zero_point=True, token_scale=True),
    data_bits=64,
    burst=4,
    outstanding=2,
    act_words=8,
    weight_words=8,
    scale_words=8,
    queue=2,
)


def product(rng, *, extreme=False) -> Product:
    m, k, n = (int(rng.integers(1, most)) for most in (8, 60, 12))
    return random_product(rng, CORE.array, m, k, n, extreme=extreme)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def outcome(command: Command) -> bytes | Error:
    """The result's bytes, or why there is none."""
    try:
        return command.result().tobytes()
    except CommandError as failure:
        return failure.error


QUICK = {"latency": 1, "write_latency": 1}
SLOW = {"latency": 200, "write_latency": 70, "bytes_per_cycle": 2.5, "requests": 2}
ROUGH = {"latency": 9, "write_latency": 3, "requests": 3, "back_pressure": 0.6, "seed": 4}


@pytest.mark.parametrize("options", [QUICK, SLOW, ROUGH], ids=["quick", "slow", "rough"])
def test_products(options, rng):
    """Queued by twos and threes; memory holds arbitrary bytes before. Both sides count the same bytes."""
    with SimulatedCore(CORE, memory_bytes=1 << 20, memory_base=(1 << 40) - (1 << 20), **options) as core:
        core.memory[:] = rng.integers(0, 256, core.memory.size)
        accelerator = Accelerator(core, CORE)
        for _ in range(6):
            jobs = []
            for _ in range(int(rng.integers(1, 6))):
                a, matrix, t, expected = product(rng, extreme=rng.random() < 0.5)
                weights = accelerator.load_weights(matrix)
                jobs.append((accelerator.submit(a, weights, t), weights, expected))
            for command, weights, expected in jobs:
                assert same(command.result(), expected), command.operation
                weights.free()
        assert accelerator.free_bytes == core.memory_bytes
        counters = accelerator.counters()
        assert (counters.read_bytes, counters.write_bytes) == (core.bytes_read, core.bytes_written)


def test_counters_of_a_product(rng):
    """Beats follow from the sizes; cycles are beats, stalls, and what surrounds them."""
    with SimulatedCore(CORE) as core:
        accelerator = Accelerator(core)
        a, matrix, t, _ = random_product(rng, CORE.array, 5, 30, 10)
        weights = accelerator.load_weights(matrix)
        first = core.cycles
        accelerator.matmul(a, weights, t)
        counted = accelerator.last_counters
        assert counted.beats == 3 * 4 * layout.beats(30, CORE.array)
        assert counted.write_bytes == 5 * 10 * 4
        assert (
            counted.beats + counted.stall_read + counted.stall_array <= counted.cycles <= core.cycles - first
        )


def test_cores_beside_each_other(rng):
    """Two of a kind and another one, driven in turn and from threads."""
    cores = [SimulatedCore(CORE, **QUICK), SimulatedCore(CORE, **SLOW), engine()]
    accelerators = [Accelerator(core) for core in cores[:2]]
    jobs = [[product(rng) for _ in range(3)] for _ in accelerators]

    def run(accelerator: Accelerator, products) -> bool:
        results = [accelerator.matmul(a, accelerator.load_weights(matrix), t) for a, matrix, t, _ in products]
        return all(same(out, product.out) for out, product in zip(results, products, strict=True))

    with ThreadPoolExecutor(3) as pool:
        copied = pool.submit(copy, cores[2], 8, 30)
        assert list(pool.map(run, accelerators, jobs)) == [True, True]
        assert copied.result()
    assert run(accelerators[0], jobs[1])


FAULTS = [
    ("w_address", "SLVERR", Error.READ_SLAVE),
    ("s_address", "DECERR", Error.READ_DECODE),
    ("t_address", "SLVERR", Error.READ_SLAVE),
    ("a_address", "DECERR", Error.READ_DECODE),
    ("o_address", "SLVERR", Error.WRITE_SLAVE),
    ("o_address", "DECERR", Error.WRITE_DECODE),
]


@pytest.mark.parametrize("options", [QUICK, ROUGH], ids=["quick", "rough"])
def test_faulty_memory(options, rng):
    """Every operand in turn: the command fails; what is behind it does too, or is right, as is the next."""
    with SimulatedCore(CORE, **options) as core:
        accelerator = Accelerator(core, CORE)
        a, matrix, t, expected = product(rng)
        weights = accelerator.load_weights(matrix)
        free = accelerator.free_bytes
        for where, response, error in FAULTS:
            # Where the next command's regions will be: those of the last one.
            last = accelerator.submit(a, weights, t)
            assert same(last.result(), expected)
            core.inject(getattr(last.operation, where), 1, response)
            command, behind = (accelerator.submit(a, weights, t) for _ in range(2))
            with pytest.raises(CommandError) as raised:
                command.result()
            assert raised.value.error is error
            assert outcome(behind) in (error, expected.tobytes())
            core.clear_injected()
            assert same(accelerator.matmul(a, weights, t), expected)
        assert accelerator.free_bytes == free


LEGAL = {"m": 1, "k": 7, "n": 3, "a_stride": 64, "o_stride": 64, "operands": 7 | layout.LAYOUT_VERSION << 16}
LEGAL |= {f"{letter}_address": 4096 * index for index, letter in enumerate("awsto")}
ILLEGAL = [
    *(({f"{letter}_address": 4096 * index + 8}, Error.ALIGNMENT) for index, letter in enumerate("awsto")),
    ({"a_stride": 65}, Error.ALIGNMENT),
    ({"o_stride": 72}, Error.ALIGNMENT),
    *(({f"{letter}_address": 1 << 40}, Error.ADDRESS) for letter in "awsto"),
    *(({name: 0}, Error.ZERO_SIZE) for name in "mkn"),
    *(({name: 1 << 24}, Error.SIZE) for name in "mkn"),
    *(({"m": 3, "o_stride": 128, f"{letter}_address": (1 << 40) - 128}, Error.RANGE) for letter in "ao"),
    *(({"n": 7, f"{letter}_address": (1 << 40) - 128}, Error.RANGE) for letter in "ws"),
    ({"m": 17, "t_address": (1 << 40) - 64}, Error.RANGE),
    ({"m": 2, "o_stride": 0}, Error.OVERLAP),
    ({"operands": 8 | layout.LAYOUT_VERSION << 16}, Error.GROUP),
    ({"operands": 7 | (layout.LAYOUT_VERSION + 1) << 16}, Error.LAYOUT),
]


def test_illegal_commands(rng):
    """Each is refused with its reason; legal ones go on, and the core never touches memory for it."""
    with SimulatedCore(CORE) as core:
        accelerator = Accelerator(core, CORE)
        for tag, (changes, error) in enumerate(ILLEGAL):
            with pytest.raises(RegisterError) as raised:
                accelerator.submit_raw(tag, **LEGAL | changes)
            assert raised.value.offset == register("SUBMIT").offset
            assert accelerator.registers.error() == (error, tag)
            accelerator.registers.clear("ERROR")
        assert core.bytes_read == core.bytes_written == 0
        accelerator.submit_raw(99, **LEGAL)
        accelerator.wait_idle()
        assert accelerator.registers.fields("DONE") == {"COUNT": 1, "TAG": 99}


def test_full_queue():
    """It takes one command more than fit while one is under way."""
    with SimulatedCore(CORE, latency=2000) as core:
        accelerator = Accelerator(core, CORE)
        for name, value in LEGAL.items():
            accelerator.registers.write(name.upper(), value)
        for tag in range(CORE.queue + 1):
            accelerator.registers.write("SUBMIT", tag)
        with pytest.raises(RegisterError):
            accelerator.registers.write("SUBMIT", 9)
        assert accelerator.registers.error() == (Error.QUEUE_FULL, 9)
        accelerator.wait_idle()
        assert accelerator.registers.fields("DONE") == {"COUNT": CORE.queue + 1, "TAG": CORE.queue}


@pytest.mark.parametrize("options", [QUICK, SLOW, ROUGH], ids=["quick", "slow", "rough"])
def test_abort(options, rng):
    """At any cycle of a command; the next one is right."""
    with SimulatedCore(CORE, **options) as core:
        accelerator = Accelerator(core, CORE)
        a, matrix, t, expected = product(rng)
        weights = accelerator.load_weights(matrix)
        ended = 0
        for _ in range(12):
            commands = [accelerator.submit(a, weights, t) for _ in range(2)]
            core.run(int(rng.integers(0, 400)))
            accelerator.abort()
            outcomes = [outcome(command) for command in commands]
            assert set(outcomes) <= {expected.tobytes(), Error.ABORTED}
            ended += outcomes.count(Error.ABORTED)
            assert same(accelerator.matmul(a, weights, t), expected)
        assert ended


@pytest.mark.parametrize("options", [QUICK, SLOW, ROUGH], ids=["quick", "slow", "rough"])
def test_reset_alone(options, rng):
    """At any moment, by the driver: memory goes on, nothing of what was under way is left, weights stay."""
    with SimulatedCore(CORE, **options) as core:
        accelerator = Accelerator(core, CORE)
        a, matrix, t, expected = product(rng)
        weights = accelerator.load_weights(matrix)
        ended = 0
        for _ in range(100):
            commands = [accelerator.submit(a, weights, t) for _ in range(2)]
            core.run(int(rng.integers(0, 400)))
            accelerator.reset(core.reset_alone)
            core.run(int(rng.integers(0, 3)))
            outcomes = [outcome(command) for command in commands]
            assert set(outcomes) <= {expected.tobytes(), Error.ABORTED}
            ended += outcomes.count(Error.ABORTED)
            assert same(accelerator.matmul(a, weights, t), expected)
            assert accelerator.counters() == accelerator.last_counters
        assert ended >= 30


def test_reset_of_a_busy_core(rng):
    """Without an abort before it the bus breaks off: what docs/core.md warns of is seen."""
    failures = set()
    for moment in range(0, 300, 10):
        with SimulatedCore(CORE, latency=20) as core:
            accelerator = Accelerator(core, CORE, patience=1000)
            a, matrix, t, expected = product(rng)
            weights = accelerator.load_weights(matrix)
            accelerator.submit(a, weights, t)
            core.run(moment)
            try:
                core.reset_alone()
                out = Accelerator(core, CORE, patience=1000)
                failures.add("" if same(out.matmul(a, out.load_weights(matrix), t), expected) else "wrong")
            except (SimulationError, CommandError, HangError) as failure:
                failures.add(type(failure).__name__)
    assert failures - {""}


def test_memory_that_never_answers(rng):
    with SimulatedCore(CORE, latency=1_000_000_000) as core:
        accelerator = Accelerator(core, CORE, patience=3000)
        a, matrix, t, _ = product(rng)
        weights = accelerator.load_weights(matrix)
        with pytest.raises(
            HangError, match=r"^the core made no progress for 3000 cycles in a product of M = "
        ):
            accelerator.matmul(a, weights, t)
        assert core.cycles < 20_000
