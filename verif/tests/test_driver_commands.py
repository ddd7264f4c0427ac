"""The driver: commands in the queue, counters, errors and hangs. On a core in plain Python."""

import itertools

import numpy as np
import pytest

from mixpe.driver.accelerator import Accelerator
from mixpe.driver.command import CommandError, Counters, HangError
from mixpe.driver.transport import RegisterError
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import ERROR_MEANINGS, Error, register
from verif.reference.core import DURATION, ReferenceCore
from verif.samples.products import Product, random_product, same

PLAIN = CoreConfig(name="plain", array=Config(rows=3, cols=4, group=8), data_bits=64, queue=2)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def core():
    return ReferenceCore(PLAIN)


@pytest.fixture
def accelerator(core):
    return Accelerator(core, PLAIN, patience=1000)


def product(rng, m=3, k=20, n=6) -> Product:
    return random_product(rng, PLAIN.array, m, k, n)


# Several commands


def test_more_commands_than_the_queue_holds(core, accelerator, rng):
    jobs = [product(rng, m, k, n) for m, k, n in itertools.product((1, 4), (5, 20), (3, 6))]
    loaded = [accelerator.load_weights(job.weights) for job in jobs]
    free = accelerator.free_bytes
    commands = [accelerator.submit(a, w) for (a, *_), w in zip(jobs, loaded, strict=True)]
    assert sum(command.ended for command in commands) == len(jobs) - PLAIN.queue - 1
    assert not commands[-1].done()
    for command, job in reversed(list(zip(commands, jobs, strict=True))):
        assert same(command.result(), job[-1])
        assert command.result() is command.result()
    assert accelerator.free_bytes == free
    assert commands[-1].counters is None


def test_memory_of_ended_commands_is_used_again(rng):
    """Room for two products only, and six are submitted."""
    a, matrix, _, expected = product(rng, m=8)
    size = layout.weight_bytes(20, 6, PLAIN.array) + layout.scale_bytes(20, 6, PLAIN.array)
    accelerator = Accelerator(ReferenceCore(PLAIN, memory_bytes=size + 2 * 2 * 8 * 64), PLAIN)
    weights = accelerator.load_weights(matrix)
    assert accelerator.free_bytes == 2 * 2 * 8 * 64
    assert all(same(c.result(), expected) for c in [accelerator.submit(a, weights) for _ in range(6)])


def test_weights_are_freed_behind_the_commands_that_read_them(core, accelerator, rng):
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    command = accelerator.submit(a, weights)
    weights.free()
    core.memory[:] = 0
    assert same(command.result(), expected)


def test_tags_and_counts_wrap(core, accelerator, rng, monkeypatch):
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    core.values["DONE"] = register("DONE").pack(COUNT=(1 << 16) - 2)
    monkeypatch.setattr(accelerator._queue, "_tag", (1 << 16) - 2)
    commands = [accelerator.submit(a, weights) for _ in range(3)]
    assert [command.tag for command in commands] == [(1 << 16) - 2, (1 << 16) - 1, 0]
    assert all(same(command.result(), expected) for command in commands)


# Counters


def beats(m, k, n) -> int:
    return -(-m // 3) * -(-n // 4) * sum(PLAIN.array.beats(k))


def test_counters(core, accelerator, rng):
    a, large, *_ = product(rng, 4, 20, 6)
    b, small, *_ = product(rng, 1, 9, 3)
    first, second = accelerator.load_weights(large), accelerator.load_weights(small)
    accelerator.matmul(a, first)
    read = 4 * 64 + first.bytes
    assert accelerator.last_counters == Counters(
        cycles=DURATION, beats=beats(4, 20, 6), read_bytes=read, write_bytes=4 * 6 * 4
    )
    with accelerator.measured() as measured:
        accelerator.submit(a, first)
        command = accelerator.submit(b, second)
        assert measured.counters == Counters()
    assert command.ended
    assert measured.counters.cycles == 2 * DURATION
    assert measured.counters.beats == beats(4, 20, 6) + beats(1, 9, 3)
    accelerator.matmul(b, second)
    assert accelerator.last_counters.beats == beats(1, 9, 3)
    total = accelerator.counters()
    assert total.beats == 2 * (beats(4, 20, 6) + beats(1, 9, 3))
    assert (
        total - measured.counters == measured.counters - accelerator.last_counters + accelerator.last_counters
    )
    core.values["READ_BYTES"] = 0x1234_5678_9ABC_DEF0
    assert accelerator.counters().read_bytes == 0x1234_5678_9ABC_DEF0
    accelerator.clear_counters()
    assert accelerator.counters() == Counters()
    accelerator.matmul(b, second)
    assert accelerator.last_counters == accelerator.counters()


# Errors of the hardware


def test_error_ends_one_command_and_drops_the_next(core, accelerator, rng):
    """The one before is done; all memory is given back; the core goes on."""
    jobs = [product(rng, k=k) for k in (20, 9, 30)]
    weights = [accelerator.load_weights(job.weights) for job in jobs]
    free = accelerator.free_bytes
    for response, error in (("SLVERR", Error.READ_SLAVE), ("DECERR", Error.READ_DECODE)):
        core.inject(weights[1].addresses[0], 1, response)
        commands = [accelerator.submit(a, w) for (a, *_), w in zip(jobs, weights, strict=True)]
        assert same(commands[0].result(), jobs[0][-1])
        for command, dropped in ((commands[1], ""), (commands[2], "dropped behind a command that failed: ")):
            with pytest.raises(CommandError) as raised:
                command.result()
            assert raised.value.error is error
            k = command.operation.k
            assert str(raised.value) == f"product of M = 3, K = {k}, N = 6: {dropped}{ERROR_MEANINGS[error]}"
        core.clear_injected()
        assert accelerator.free_bytes == free
        assert accelerator.registers.error() == (Error.NONE, 0)
        assert same(accelerator.matmul(jobs[1][0], weights[1]), jobs[1][-1])


def test_error_while_the_queue_is_full(core, accelerator, rng):
    """`submit` meets the error of an earlier command, and its own is taken all the same."""
    a, matrix, _, expected = product(rng)
    good, bad = accelerator.load_weights(matrix), accelerator.load_weights(matrix)
    core.inject(bad.addresses[1], 1, "SLVERR")
    commands = [accelerator.submit(a, bad)] + [accelerator.submit(a, good) for _ in range(4)]
    assert same(commands[-1].result(), expected)
    outcomes = [command._failure.error if command._failure else None for command in commands]
    assert outcomes == [Error.READ_SLAVE] * 3 + [None] * 2


def test_abort(core, accelerator, rng):
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    commands = [accelerator.submit(a, weights) for _ in range(2)]
    accelerator.abort()
    for command in commands:
        with pytest.raises(CommandError, match="software aborted the command"):
            command.result()
    accelerator.abort()
    assert accelerator.free_bytes == free
    assert same(accelerator.matmul(a, weights), expected)


LEGAL = {"m": 1, "k": 8, "n": 4, "a_stride": 64, "o_stride": 64, "operands": 8 | layout.LAYOUT_VERSION << 16}
LEGAL |= {f"{letter}_address": (1 << 19) + 64 * index for index, letter in enumerate("awsto")}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"a_address": 32}, Error.ALIGNMENT),
        ({"o_stride": 96}, Error.ALIGNMENT),
        ({"o_address": 1 << 40}, Error.ADDRESS),
        ({"m": 0}, Error.ZERO_SIZE),
        ({"n": 1 << 24}, Error.SIZE),
        ({"operands": 9 | layout.LAYOUT_VERSION << 16}, Error.GROUP),
        ({"operands": 8}, Error.LAYOUT),
    ],
)
def test_refused_command(changes, error, accelerator, rng):
    """What the driver never sends reaches the hardware by `submit_raw`; products go on behind it."""
    with pytest.raises(RegisterError) as raised:
        accelerator.submit_raw(0, **LEGAL | changes)
    assert raised.value.offset == register("SUBMIT").offset
    assert accelerator.registers.error() == (error, 0)
    with pytest.raises(RegisterError):
        accelerator.submit_raw(8, **LEGAL)
    assert accelerator.registers.error() == (error, 0)
    a, matrix, _, expected = product(rng)
    assert same(accelerator.matmul(a, accelerator.load_weights(matrix)), expected)
    accelerator.submit_raw(9, **LEGAL)
    accelerator.wait_idle()
    assert accelerator.registers.fields("DONE")["TAG"] == 9


def test_products_behind_raw_commands(accelerator, rng):
    """Their ends are not taken for those of the products."""
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    accelerator.submit_raw(0, **LEGAL)
    accelerator.submit_raw(0, **LEGAL)
    assert same(accelerator.matmul(a, weights), expected)


def test_command_that_the_core_refuses(core, accelerator, rng):
    """The error is its own, and the next command is taken."""
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    core.config = CoreConfig(name="other", array=Config(rows=3, cols=4, group=16), data_bits=64, queue=2)
    with pytest.raises(CommandError, match="the group size is not the one the core is built for"):
        accelerator.matmul(a, weights)
    assert accelerator.free_bytes == free
    core.config = PLAIN
    assert same(accelerator.matmul(a, weights), expected)


def test_command_that_vanishes(core, accelerator, rng):
    """As behind a register write that was refused just before the error that dropped it."""
    a, matrix, *_ = product(rng)
    command = accelerator.submit(a, accelerator.load_weights(matrix))
    core._queue.clear()
    assert command.done()
    with pytest.raises(CommandError, match="the core dropped it without telling why"):
        command.result()


# Commands that never end


def test_hang(core, accelerator, rng):
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    core.stuck = True
    commands = [accelerator.submit(a, weights) for _ in range(2)]
    for command in commands:
        with pytest.raises(HangError) as raised:
            command.result()
        assert str(raised.value) == (
            "the core made no progress for 1000 cycles in a product of M = 3, K = 20, N = 6 "
            "(beats 0, read 0, written 0 bytes)"
        )
    assert accelerator.free_bytes == free
    core.stuck = False
    assert same(accelerator.matmul(a, weights), expected)


def test_hang_that_no_abort_ends(core, accelerator, rng):
    """The core may still write to its regions: none is used again."""
    a, matrix, *_ = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    core.stuck = core.deaf = True
    command = accelerator.submit(a, weights)
    for action in (command.result, lambda: accelerator.matmul(a, weights), accelerator.abort):
        with pytest.raises(HangError, match=r"no abort ends it: reset it with its memory$"):
            action()
    assert accelerator.free_bytes < free
    with pytest.raises(HangError, match=r"reset it with its memory$"):
        accelerator.reset(lambda: pytest.fail("a core is reset whose bus is not quiet"))
    core.reset()
    core.stuck = core.deaf = False
    anew = Accelerator(core, PLAIN)
    anew.matmul(a, anew.load_weights(matrix))


def test_reset(core, accelerator, rng):
    """The core is idle before it; commands fail, weights stay, and nothing is remembered of registers."""
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    assert same(accelerator.matmul(a, weights), expected)
    core.stuck = True
    commands = [accelerator.submit(a, weights) for _ in range(2)]

    def pulse():
        assert core.read_register(register("STATUS").offset) == 0
        core.reset()
        core.stuck = False

    accelerator.reset(pulse)
    for command in commands:
        with pytest.raises(CommandError) as raised:
            command.result()
        assert raised.value.error is Error.ABORTED
    assert accelerator.free_bytes == free
    assert same(accelerator.matmul(a, weights), expected)
    accelerator.reset(core.reset)
    assert same(accelerator.matmul(a, weights), expected)


def test_raw_command_that_hangs(core, accelerator):
    core.stuck = True
    accelerator.submit_raw(1, **LEGAL)
    with pytest.raises(HangError, match=r"^the core made no progress for 1000 cycles \(beats 0"):
        accelerator.wait_idle()
    accelerator.abort()
    accelerator.wait_idle()


def test_interrupt_from_the_keyboard(core, accelerator, rng, monkeypatch):
    """While results are read: the command is neither lost nor counted twice."""
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    free = accelerator.free_bytes
    first, second = (accelerator.submit(a, weights) for _ in range(2))

    def interrupted(address: int, size: int) -> np.ndarray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(core, "read_memory", interrupted)
        with pytest.raises(KeyboardInterrupt):
            first.result()
    assert same(first.result(), expected)
    assert same(second.result(), expected)
    assert accelerator.free_bytes == free


def test_long_commands_do_not_hang(core, rng):
    """Each takes longer than the patience, and something is counted in between."""
    accelerator = Accelerator(core, PLAIN, patience=DURATION // 4)
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    wait = core.wait

    def counting(cycles: int) -> bool:
        core.values["BEATS"] += 1
        return wait(cycles)

    core.wait = counting
    assert same(accelerator.matmul(a, weights), expected)


def test_without_the_wire(core, accelerator, rng, monkeypatch):
    """Where `irq` goes nowhere, commands end by the counters."""
    core.wired = False
    monkeypatch.setattr(accelerator._queue, "_give_up", None)
    a, matrix, _, expected = product(rng)
    weights = accelerator.load_weights(matrix)
    assert same(accelerator.matmul(a, weights), expected)
