"""The simulated core's memory and its watch over AXI, on a small engine that copies."""

import itertools

import pytest

from mixpe.driver.transport import RegisterError
from mixpe.sim.fast import SimulatedCore, SimulationError
from verif.harness.copy_engine import COPY, GO, HALF, RULE, SOURCE, TARGET, WIDE, copy, engine, start

# What the engine does wrong, by the value of its register, and what is said of it.
RULES = {
    1: "AXI4: ARVALID or its payload changed before ARREADY",
    2: "AXI4: ARVALID or its payload changed before ARREADY",
    3: "AXI4: AWVALID or its payload changed before AWREADY",
    4: "AXI4: WVALID or its payload changed before WREADY",
    5: "AXI4: WLAST is 1 at word 3 of 4",
    6: "AXI4: WLAST is 0 at word 4 of 4",
    7: "AXI4: ARSIZE is no whole word of a burst of 4 words at 0x10000: 0",
    8: "AXI4: AWBURST is not INCR of a burst of 4 words at 0x18000: 0",
}


# The memory


@pytest.mark.parametrize("config", [COPY, WIDE], ids=lambda config: config.name)
def test_copy(config):
    with engine(config) as core:
        cycles = copy(core, 8, 5)
        assert not core.wait(10)
        assert (core.bytes_read, core.bytes_written) == (40 * config.word_bytes, 40 * config.word_bytes)
        core.clear_injected()
        assert copy(core, 8, 5) == cycles


def test_latencies():
    """One word: asked for in the first cycle, written in the one after it has come."""
    for read, write in itertools.product((1, 2, 30), (1, 2, 40)):
        with engine(latency=read, write_latency=write) as core:
            assert copy(core, 1, 1) == 1 + read + write + 1


def test_bandwidth():
    """In the long run words come at the rate, a word each way in a cycle at most."""
    words = 16 * 60
    cycles = {}
    for rate in (None, 16.0, 12.0, 8.0, 4.0, 1.0):
        with engine(bytes_per_cycle=rate, latency=1, write_latency=1) as core:
            cycles[rate] = copy(core, 16, 60)
    for rate, taken in cycles.items():
        ideal = max(words, 2 * words * 8 / (rate or 16))
        saved = 2 * 8 / (rate or 16)  # two words' worth, while nothing moved
        assert ideal - saved <= taken < 1.05 * ideal + 25, rate
    assert cycles[None] == cycles[16.0]


def test_requests_in_flight():
    """With one burst at a time, the latency is paid for every burst."""
    cycles = {}
    for requests in (1, 2, 16):
        with engine(latency=50, write_latency=1, requests=requests) as core:
            cycles[requests] = copy(core, 4, 20)
    assert cycles[1] > 20 * 54
    assert 10 * 54 < cycles[2] < 11 * 60
    assert cycles[16] < 2 * 54 + 90


def test_back_pressure():
    """The copy is right; a seed gives its own cycles, and again the same."""
    cycles = {}
    for seed in (1, 2, 1):
        with engine(back_pressure=0.5, seed=seed) as core:
            taken = [copy(core, 8, 10) for _ in range(3)]
            assert cycles.setdefault(seed, taken) == taken
    assert cycles[1] != cycles[2]
    with engine() as core:
        assert copy(core, 8, 10) < min(cycles[1])


@pytest.mark.parametrize(("response", "code"), [("SLVERR", 2), ("DECERR", 3)])
def test_injected_responses(response, code):
    with engine() as core:
        before = core.memory.copy()
        base = core.memory_base
        core.inject(base + 9, 1, response)
        start(core, 4, 2)
        assert core.wait(1000)
        assert core.read_register(GO) == code << 30 | 2
        core.clear_injected()
        core.memory[:] = before
        core.inject(base + HALF + 31, 2, response)
        start(core, 4, 2)
        assert core.wait(1000)
        assert core.read_register(GO) == code << 28 | 2
        # Neither word that it touches is written: the last of a burst, the first of the next.
        before[HALF : HALF + 24] = before[:24]
        before[HALF + 40 : HALF + 64] = before[40:64]
        assert (core.memory == before).all()


def test_addresses_outside_the_memory():
    with engine() as core:
        before = core.memory.copy()
        start(core, 1, 1, source=-8)
        assert core.wait(1000)
        assert core.read_register(GO) == 3 << 30 | 1
        start(core, 1, 1, target=1 << 16)
        assert core.wait(1000)
        assert core.read_register(GO) == 3 << 28 | 1
        before[HALF : HALF + 8] = 0
        assert (core.memory == before).all()


def test_strobes():
    with engine() as core:
        before = core.memory.copy()
        core.write_register(RULE, 1 << 16 | 3 << 8)
        start(core, 2, 1)
        assert core.wait(1000)
        target = HALF
        for word in (0, 8):
            before[target + word + 3 : target + word + 8] = before[word + 3 : word + 8]
        assert (core.memory == before).all()
        assert core.bytes_written == 10


def test_memory_holds_writes_from_their_answer_on():
    with engine(write_latency=100) as core:
        before = core.memory.copy()
        start(core, 4, 1)
        core.run(60)
        assert (core.memory == before).all()
        core.run(100)
        assert (core.memory[HALF:][:32] == before[:32]).all()


# The watch over AXI


@pytest.mark.parametrize("rule", RULES)
def test_broken_rule(rule):
    """The run ends there, and so does every one after it, up to a reset."""
    with engine(back_pressure=0.7, seed=rule) as core:
        core.write_register(RULE, rule)
        with pytest.raises(SimulationError, match=rf"^copy_engine: cycle \d+: {RULES[rule]}$") as error:
            copy(core, 4, 6)
        for action in (
            lambda: core.run(1),
            lambda: core.read_register(GO),
            lambda: core.write_register(GO, 1),
        ):
            with pytest.raises(SimulationError) as again:
                action()
            assert str(again.value) == str(error.value)
        core.reset()
        core.write_register(RULE, 0)
        assert copy(core, 4, 6)


@pytest.mark.parametrize(
    ("words", "source", "message"),
    [
        (16, 4096 - 120, "ARLEN crosses 4 KiB of a burst of 16 words at 0x10f88: 15"),
        (2, 12, "ARADDR is unaligned of a burst of 2 words at 0x1000c: 4"),
    ],
)
def test_burst_at_a_wrong_place(words, source, message):
    with engine() as core:
        start(core, words, 1, source=source)
        with pytest.raises(SimulationError, match=message):
            core.wait(1000)
        core.reset()
        start(core, 16, 1, source=4096 - 128)
        assert core.wait(1000)


def test_valid_in_reset():
    with engine() as core:
        core.write_register(RULE, 9)
        with pytest.raises(SimulationError, match="AXI4: a VALID is high during reset"):
            core.reset()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (10, "AXI4-Lite: an answer that was not asked for"),
        (11, "AXI4-Lite: BVALID or its payload changed before BREADY"),
        (12, "AXI4-Lite: RVALID or its payload changed before RREADY"),
        (13, "AXI4-Lite: no answer to a read of register 0x010"),
    ],
)
def test_broken_rule_of_the_register_port(rule, message):

    def use(core: SimulatedCore) -> None:
        core.write_register(RULE, rule)
        for _ in range(20):
            core.read_register(RULE)
            core.write_register(SOURCE, 0)

    with engine(back_pressure=0.8) as core, pytest.raises(SimulationError, match=message):
        use(core)


def test_verilog_that_stops():
    """An error of the simulation, as a rule broken, and not the end of Python."""
    with engine() as core:
        core.write_register(RULE, 14)
        with pytest.raises(SimulationError, match=r"cycle \d+: .*core\.v:\d+: Verilog \$stop"):
            copy(core, 4, 6)


def test_registers():
    with engine(back_pressure=0.5) as core:
        for value in (0xFFFF_FFFF, 0x8000_0001, 5):
            core.write_register(SOURCE, value)
            core.write_register(TARGET, ~value & 0xFFFF_FFFF)
            assert (core.read_register(SOURCE), core.read_register(TARGET)) == (value, ~value & 0xFFFF_FFFF)
        for offset, response in ((24, "DECERR"), (28, "SLVERR")):
            with pytest.raises(
                RegisterError, match=f"^read of register 0x0{offset:x} was answered {response}$"
            ):
                core.read_register(offset)
            with pytest.raises(
                RegisterError, match=f"^write of register 0x0{offset:x} was answered {response}$"
            ):
                core.write_register(offset, 0)
