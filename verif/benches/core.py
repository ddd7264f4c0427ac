"""cocotb bench of an accelerator core: products against the golden model, and no byte written beside them.

Environment: MIXPE_CORE, as of `core_memory`; MIXPE_COMMANDS, how many random commands to run.
"""

import os

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiResp

from mixpe.sim.cocotb.core_device import CoreDevice
from mixpe.sim.cocotb.core_memory import ARRAY, CONFIG
from mixpe.sim.cocotb.seeds import bench_rng
from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.cycles import planning_cycles
from mixpe.spec.registers import ID_VALUE, register

COMMANDS = int(os.environ.get("MIXPE_COMMANDS", "10"))

COUNTERS = ("CYCLES", "BEATS", "STALL_READ", "STALL_ARRAY", "READ_BYTES", "WRITE_BYTES")
CLEAR = register("CONTROL").pack(CLEAR_COUNTERS=1)


async def started(dut) -> CoreDevice:
    device = CoreDevice(dut, bench_rng())
    await device.start()
    return device


async def counted(device: CoreDevice) -> dict[str, int]:
    return {name: await device.read(name) for name in COUNTERS}


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_product(dut):
    """The simplest command, to begin with."""
    device = await started(dut)
    assert await device.read("ID") == ID_VALUE
    await device.accepted(device.memory.product(ARRAY.rows, ARRAY.group, ARRAY.cols), 7)
    await device.idle()
    device.memory.check()
    assert await device.fields("DONE") == {"COUNT": 1, "TAG": 7}
    assert await device.read("ERROR") == 0


@cocotb.test(timeout_time=1000 + 1000 * COMMANDS, timeout_unit="us")
async def random_commands(dut):
    """Products of any shape, queued, with random pauses of every channel: nothing lost, nothing wrong."""
    device = await started(dut)
    rng, done = device.rng, 0
    while done < COMMANDS:
        device.pause(float(rng.choice([0.0, 0.1, 0.5, 0.8])))
        device.memory.clear()
        for _ in range(min(COMMANDS - done, int(rng.integers(1, CONFIG.queue + 2)))):
            done += 1
            await device.accepted(device.memory.random_product(), done & 0xFFFF)
        await device.idle()
        assert await device.fields("DONE") == {"COUNT": done & 0xFFFF, "TAG": done & 0xFFFF}
        assert await device.read("ERROR") == 0
        device.memory.check()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def banks(dut):
    """Rows of activations that fill a bank, and such as do not fit, with several tiles each way."""
    device = await started(dut)
    fits = device.memory.longest_resident
    for k in (fits, fits + 1, 2 * fits + 1):
        device.memory.clear()
        m, n = (ARRAY.rows + 1, ARRAY.cols + 1) if ARRAY.tile_cycles(k) < 2000 else (1, ARRAY.cols + 1)
        await device.accepted(device.memory.product(m, k, n), k & 0xFFFF)
        await device.idle()
        device.memory.check()
        reads = traffic.read_words(m, k, n, CONFIG)["activations"]
        assert (reads > traffic.read_words(m, k, 1, CONFIG)["activations"]) == (k > fits)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def far_rows(dut):
    """Rows of operands and results lie all over the addresses."""
    device = await started(dut)
    device.memory.base = 0
    device.memory.far = 1 << min(31, CONFIG.address_bits - 2 - ARRAY.rows.bit_length())
    command = device.memory.product(2 * ARRAY.rows, ARRAY.group + 1, ARRAY.cols + 1)
    for name in ("A_STRIDE", "O_STRIDE"):
        command.registers[name] += device.memory.far
    assert await device.submit(command.registers, 1) == AxiResp.OKAY
    await device.idle()
    for name in ("A_STRIDE", "O_STRIDE"):
        command.registers[name] -= device.memory.far
    device.memory.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def results_become_operands(dut):
    """Commands run in order: each may read what the one before wrote."""
    device = await started(dut)
    for chance in (0.0, 0.5):
        device.memory.clear()
        device.pause(chance)
        n = ARRAY.cols + 1
        width = layout.out_row_bytes(n, ARRAY)
        k = max(k for k in range(1, 200) if layout.act_row_bytes(k, ARRAY) <= width)
        before = None
        for tag in range(min(CONFIG.queue, 2) + 1):
            before = device.memory.product(ARRAY.rows + 1, k, n, after=before)
            await device.accepted(before, tag)
        await device.idle()
        device.memory.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def answers_are_awaited(dut):
    """A command is done when memory has answered all that it wrote."""
    device = await started(dut)
    device.writes.b_channel.pause = True
    await device.accepted(device.memory.product(1, ARRAY.group, ARRAY.cols), 1)
    await ClockCycles(dut.clk, 200 + ARRAY.run_cycles(ARRAY.group))
    assert device.watch.written_bytes
    assert await device.fields("STATUS") == {"BUSY": 1, "QUEUED": 0}
    assert await device.read("DONE") == 0
    device.writes.b_channel.pause = False
    await device.idle()
    assert await device.fields("DONE") == {"COUNT": 1, "TAG": 1}
    device.memory.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def interrupts(dut):
    """The wire follows the enabled cause; every command of a full queue raises it."""
    device = await started(dut)
    both = register("INTERRUPT").pack(DONE=1, ERROR=1)
    for _ in range(3):
        device.memory.clear()
        for tag in range(CONFIG.queue + 1):
            await device.accepted(device.memory.product(3 * ARRAY.rows, 2 * ARRAY.group, 2 * ARRAY.cols), tag)
        await device.idle()
        assert not int(dut.irq.value), "no cause is enabled"
        assert await device.fields("INTERRUPT") == {"DONE": 1, "ERROR": 0}
        await device.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(ERROR=1))
        assert not int(dut.irq.value)
        await device.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(DONE=1))
        await ClockCycles(dut.clk, 1)
        assert int(dut.irq.value)
        await device.write("INTERRUPT", both)
        await device.write("INTERRUPT_ENABLE", 0)
    await device.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(DONE=1))
    count = (await device.fields("DONE"))["COUNT"]
    device.memory.clear()
    device.writes.b_channel.pause = True
    for tag in range(CONFIG.queue + 1):
        await device.accepted(device.memory.product(3 * ARRAY.rows, 2 * ARRAY.group, 2 * ARRAY.cols), tag)
    device.writes.b_channel.pause = False
    for tag in range(CONFIG.queue + 1):
        if not int(dut.irq.value):
            await with_timeout(RisingEdge(dut.irq), 100, "us")
        # Before the next one is done.
        await device.write("INTERRUPT", both)
        assert await device.fields("DONE") == {"COUNT": count + tag + 1, "TAG": tag}
        await ClockCycles(dut.clk, 1)
        assert not int(dut.irq.value)
    await device.idle()
    device.memory.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counters(dut):
    """Bytes and beats are those of the formulas and of the bus; every cycle is in one of the counters, or in
    an end of the command: planning, and from the last operands to the last answer."""
    device = await started(dut)
    for _ in range(6):
        m, k, n = device.memory.random_shape()
        device.memory.clear()
        await device.write("CONTROL", CLEAR)
        assert not any((await counted(device)).values())
        read, written = device.watch.read_words, device.watch.written_bytes
        await device.accepted(device.memory.product(m, k, n), 3)
        await device.idle()
        device.memory.check()
        found = await counted(device)
        assert found["BEATS"] == traffic.beats(m, k, n, CONFIG)
        assert found["READ_BYTES"] == traffic.read_bytes(m, k, n, CONFIG)
        assert found["READ_BYTES"] == (device.watch.read_words - read) * CONFIG.word_bytes
        assert found["WRITE_BYTES"] == traffic.write_bytes(m, n, CONFIG)
        assert found["WRITE_BYTES"] == device.watch.written_bytes - written
        ends = found["CYCLES"] - found["BEATS"] - found["STALL_READ"] - found["STALL_ARRAY"]
        least = planning_cycles(CONFIG) + 2 + ARRAY.drain_latency
        # A row's words, the first and the last not full, and the handshakes of its burst.
        row = -(-ARRAY.cols * ARRAY.out.bits // CONFIG.data_bits) + 1 + 8
        last_rows = (m - 1) % ARRAY.rows + 1
        assert least < ends <= least + 10 + last_rows * row, f"{m}x{k}x{n}: {found}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stalls(dut):
    """A memory that does not answer is seen in the counter of the side that waits for it."""
    device = await started(dut)
    waits = 600
    for channel, stalled in (
        (device.reads.r_channel, "STALL_READ"),
        (device.writes.b_channel, "STALL_ARRAY"),
    ):
        device.memory.clear()
        await device.write("CONTROL", CLEAR)
        # So many rows of results that their answers are waited for.
        strips = 2 + -(-CONFIG.outstanding // ARRAY.rows)
        command = device.memory.product(strips * ARRAY.rows, ARRAY.group, 2 * ARRAY.cols)
        channel.pause = True
        await device.accepted(command, 1)
        await ClockCycles(dut.clk, waits)
        channel.pause = False
        await device.idle()
        device.memory.check()
        found = (await counted(device))[stalled]
        assert found > waits // 2, f"{stalled} is {found} after a pause of {waits} cycles"
