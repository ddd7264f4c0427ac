"""cocotb bench of an accelerator core: what is refused, what ends early, and that the core then works on.

Environment: as of `core_memory`; MIXPE_COMMANDS, of which half is at how many moments
to reset the core alone.
"""

import os

import cocotb
from cocotb.triggers import ClockCycles, First, RisingEdge
from cocotbext.axi import AxiResp

from mixpe.sim.cocotb.core_device import ADDRESSES, CoreDevice
from mixpe.sim.cocotb.core_memory import ARRAY, CONFIG
from mixpe.sim.cocotb.seeds import bench_rng
from mixpe.spec import layout
from mixpe.spec.registers import ADDRESS_BITS, REGISTERS, Error, register

ALL = 0xFFFFFFFF
ABORT = register("CONTROL").pack(ABORT=1)
MOMENTS = max(4, int(os.environ.get("MIXPE_COMMANDS", "10")) // 2)
PACK = register("OPERANDS").pack
PLACES = {each.offset + 4 * word: each for each in REGISTERS for word in range(each.words)}


async def started(dut) -> CoreDevice:
    device = CoreDevice(dut, bench_rng())
    await device.start()
    return device


def several_tiles(device: CoreDevice):
    return device.memory.product(3 * ARRAY.rows - 1, 2 * ARRAY.group + 1, 3 * ARRAY.cols - 1)


async def amid_commands(dut, device, *, writing: bool) -> None:
    """Submits two commands, and waits until some moment amid them: soon after a write begins, or any."""
    for tag in range(2):
        await device.accepted(several_tiles(device), tag)
    if writing:
        await First(RisingEdge(dut.m_axi_awvalid), ClockCycles(dut.clk, 400))
    await ClockCycles(dut.clk, int(device.rng.integers(1, 20 if writing else 300)))


async def use_again(device: CoreDevice) -> None:
    """A product must come out right after something went wrong."""
    await device.write("ERROR", ALL)
    await device.write("INTERRUPT", ALL)
    done = await done_count(device)
    await device.accepted(device.memory.product(ARRAY.rows + 1, ARRAY.group + 1, ARRAY.cols + 1), 99)
    await device.idle()
    assert await device.read("ERROR") == 0
    assert await device.fields("DONE") == {"COUNT": done + 1, "TAG": 99}
    assert await device.fields("INTERRUPT") == {"DONE": 1, "ERROR": 0}
    await device.write("INTERRUPT", ALL)
    device.memory.check()


async def done_count(device: CoreDevice) -> int:
    return (await device.fields("DONE"))["COUNT"]


def check_ended(device: CoreDevice, tag: int) -> None:
    """The command `tag` is broken off; those before it, with tags from 0 on, are done, others dropped."""
    device.memory.broken_off(device.memory.commands[tag])
    for command in device.memory.commands[tag + 1 :]:
        device.memory.dropped(command)
    device.memory.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def places_without_registers(dut):
    """Reads of no register, and writes of what cannot be written, are answered SLVERR and change nothing."""
    device = await started(dut)
    free = [place for place in range(0, 1 << ADDRESS_BITS, 4) if place not in PLACES]
    for place in (free[0], free[-1], *(int(each) for each in device.rng.choice(free, 6))):
        answers = await device.registers.read(place, 4), await device.registers.write(place, bytes(4))
        assert [answer.resp for answer in answers] == [AxiResp.SLVERR] * 2, f"{place:#x} is answered"
    for place, each in PLACES.items():
        if not each.access.writable:
            answer = await device.registers.write(place, b"\xff" * 4)
            assert answer.resp == AxiResp.SLVERR, f"{each.name} is written"
    await use_again(device)


def beyond(good: dict[str, int]):
    """Changes to a legal command that put one of its regions over the last address."""
    changes = {"M": 2, "A_STRIDE": 1 << 14, "O_STRIDE": 1 << 15}
    values = good | changes
    sizes = layout.region_bytes(2, values["K"], values["N"], values["A_STRIDE"], values["O_STRIDE"], ARRAY)
    for letter, size in sizes.items():
        if (taken := layout.aligned(size)) > layout.ALIGNMENT:
            first = (1 << CONFIG.address_bits) - taken + layout.ALIGNMENT
            yield Error.RANGE, changes | {f"{letter}_ADDRESS": first}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def illegal_commands(dut):
    """Each mistake has its code, changes nothing, and leaves the core usable."""
    device = await started(dut)
    good = device.memory.product(ARRAY.rows, ARRAY.group, ARRAY.cols)
    mistakes = [
        *((Error.ALIGNMENT, {f"{letter}_ADDRESS": 64 + 8}) for letter in ADDRESSES),
        *((Error.ALIGNMENT, {f"{letter}_STRIDE": 100}) for letter in "AO"),
        *((Error.ZERO_SIZE, {letter: 0}) for letter in "MKN"),
        *((Error.SIZE, {letter: 1 << 24}) for letter in "MKN"),
        *((Error.SIZE, {letter: 0xFF000000}) for letter in "MKN"),
        (Error.GROUP, {"OPERANDS": PACK(GROUP=ARRAY.group ^ 1, LAYOUT=layout.LAYOUT_VERSION)}),
        (Error.LAYOUT, {"OPERANDS": PACK(GROUP=ARRAY.group, LAYOUT=layout.LAYOUT_VERSION + 1)}),
        (Error.OVERLAP, {"O_STRIDE": layout.out_stride(ARRAY.cols, ARRAY) - layout.ALIGNMENT, "M": 2}),
        *beyond(good.registers),
    ]
    if CONFIG.address_bits < 64:
        mistakes += [(Error.ADDRESS, {f"{letter}_ADDRESS": 1 << CONFIG.address_bits}) for letter in ADDRESSES]
    await device.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(ERROR=1))
    for tag, (error, changes) in enumerate(mistakes):
        assert not int(dut.irq.value)
        response = await device.submit(good.registers | changes, tag)
        assert response == AxiResp.SLVERR, f"{changes} is not refused"
        assert await device.fields("ERROR") == {"CODE": error, "TAG": tag}, f"{changes}"
        assert await device.fields("INTERRUPT") == {"DONE": 0, "ERROR": 1}
        assert int(dut.irq.value)
        assert await device.read("STATUS") == 0
        assert await device.submit(good.registers, 1) == AxiResp.SLVERR, "an error is pending"
        assert await device.fields("ERROR") == {"CODE": error, "TAG": tag}, "the first error stays"
        await device.write("ERROR", ALL)
        await device.write("INTERRUPT", ALL)
        await ClockCycles(dut.clk, 1)
    assert await device.read("DONE") == 0
    assert not device.watch.moved
    await device.accepted(good, 0)
    await device.idle()
    await use_again(device)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_queue(dut):
    """One command runs, the queue is full, one is too many: it is refused, and the others run."""
    device = await started(dut)
    device.reads.ar_channel.pause = True
    places = CONFIG.queue + 1
    for tag in range(places):
        await device.accepted(several_tiles(device), tag)
        assert await device.fields("STATUS") == {"BUSY": 1, "QUEUED": tag}
    extra = several_tiles(device)
    assert await device.submit(extra.registers, places) == AxiResp.SLVERR
    device.memory.dropped(extra)
    assert await device.fields("ERROR") == {"CODE": Error.QUEUE_FULL, "TAG": places}
    device.reads.ar_channel.pause = False
    await device.idle()
    assert await device.fields("DONE") == {"COUNT": places, "TAG": places - 1}
    device.memory.check()
    await use_again(device)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def abort(dut):
    """An abort at any moment ends the command and drops those that wait; else it does nothing."""
    device = await started(dut)
    await device.write("CONTROL", ABORT)
    assert not any([await device.read(name) for name in ("STATUS", "ERROR", "INTERRUPT")])
    for round_ in range(12):
        device.pause(float(device.rng.choice([0.0, 0.3])))
        device.memory.clear()
        done = await done_count(device)
        await amid_commands(dut, device, writing=bool(round_ % 2))
        await device.write("CONTROL", ABORT)
        await device.idle()
        error = await device.fields("ERROR")
        if error["CODE"]:
            assert error["CODE"] == Error.ABORTED
            assert await device.fields("INTERRUPT") == {"DONE": error["TAG"], "ERROR": 1}
            assert await done_count(device) == done + error["TAG"]
            check_ended(device, error["TAG"])
        else:
            assert await done_count(device) == done + 2, "commands are lost"
        await use_again(device)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def reset_in_a_command(dut):
    """A reset at any moment leaves nothing behind, whatever is under way on the bus."""
    device = await started(dut)
    for round_ in range(8):
        device.memory.clear()
        await amid_commands(dut, device, writing=bool(round_ % 2))
        await device.reset()
        await ClockCycles(dut.clk, 2)
        for each in REGISTERS:
            if each.access not in ("constant", "write"):
                assert await device.read(each.name) == 0, f"{each.name} survives a reset"
        for command in device.memory.commands:
            device.memory.broken_off(command)
        device.memory.commands = []
        await use_again(device)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def reset_alone(dut):
    """Once an abort has made the bus quiet, the core may be reset while memory goes on: at any moment."""
    device = await started(dut)
    for round_ in range(MOMENTS):
        device.pause(float(device.rng.choice([0.0, 0.3, 0.8])))
        device.memory.clear()
        await amid_commands(dut, device, writing=bool(round_ % 2))
        await device.write("CONTROL", ABORT)
        await device.idle()
        assert device.watch.quiet, "the core is idle, and its bus is not"
        await device.reset_alone()
        await ClockCycles(dut.clk, int(device.rng.integers(1, 5)))
        assert await device.read("DONE") == await device.read("ERROR") == 0
        for command in device.memory.commands:
            device.memory.broken_off(command)
        device.memory.commands = []
        await use_again(device)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def memory_errors(dut):
    """A memory that fails in the middle of a burst ends the command with its code; the core works on."""
    device = await started(dut)
    for round_, name in enumerate(ADDRESSES * 2):
        device.pause(float(device.rng.choice([0.0, 0.3])))
        device.memory.clear()
        done = await done_count(device)
        first, _ = several_tiles(device), several_tiles(device)
        start = first.registers[f"{name}_ADDRESS"]
        if round_ >= len(ADDRESSES):  # in the second row or column tile
            k = first.registers["K"]
            tile = {"W": layout.weight_tile_bytes, "S": layout.scale_tile_bytes}
            if name in tile:
                start += tile[name](k, ARRAY)
            elif name in "AO":
                start += first.registers[f"{name}_STRIDE"]
        device.memory.bad = range(start, start + 1)
        for tag, command in enumerate(device.memory.commands):
            response = await device.submit(command.registers, tag)
            assert response == AxiResp.OKAY or tag, "the first command is refused"
        await device.idle()
        device.memory.bad = range(0)
        code = Error.WRITE_SLAVE if name == "O" else Error.READ_SLAVE
        assert await device.fields("ERROR") == {"CODE": code, "TAG": 0}, f"in {name}"
        assert await device.fields("INTERRUPT") == {"DONE": 0, "ERROR": 1}
        assert await done_count(device) == done
        check_ended(device, 0)
        await use_again(device)
