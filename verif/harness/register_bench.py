"""The core's registers in Amaranth's simulator: what software and the core do with them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from mixpe.hw.core.axi_lite import OKAY, STROBES
from mixpe.hw.core.register_file import RegisterFile
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import REGISTERS, Register, register

from .axi_lite import ALL_STROBES, AxiLiteMaster, slave_watch

PERIOD = 1e-6
CYCLES_OF_WRITE = 8
"""More than a write takes that is not kept waiting."""

Test = Callable[["Software"], Awaitable[None]]
Watch = Callable[[Any, RegisterFile], Awaitable[None]]


def places(registers: Iterable[Register]) -> list[int]:
    """Returns the addresses of all words of the registers."""
    return [each.offset + STROBES * word for each in registers for word in range(each.words)]


class Software:
    """Does what software does with the registers of `core`, and, with `pulse`, what the core does.

    Waits as of `AxiLiteMaster`; reads must be answered OKAY.
    """

    def __init__(self, ctx, core: RegisterFile):
        self.ctx = ctx
        self.core = core
        self.master = AxiLiteMaster(core)

    async def write(self, name: str, value: int, strobes: int = ALL_STROBES, **waits: int) -> int:
        """Writes a register of 32 bits. Returns the response."""
        return await self.master.write(self.ctx, register(name).offset, value, strobes, **waits)

    async def read(self, name: str, **waits: int) -> int:
        """Returns what a register of 32 bits, or the low half of one of 64, shows."""
        data, response = await self.master.read(self.ctx, register(name).offset, **waits)
        assert response == OKAY
        return data

    async def fields(self, name: str) -> dict[str, int]:
        """Returns what a register shows, by its fields."""
        return register(name).unpack(await self.read(name))

    async def everything(self) -> dict[int, int]:
        """Returns what all registers show, by address."""
        found = {}
        for place in places(REGISTERS):
            found[place], response = await self.master.read(self.ctx, place)
            assert response == OKAY
        return found

    async def pulse(self, name: str, **values: int) -> None:
        """Holds the input `name` high for a cycle, and inputs beside it at `values`."""
        for port, value in ({name: 1} | values).items():
            self.ctx.set(getattr(self.core, port), value)
        await self.ctx.tick()
        self.ctx.set(getattr(self.core, name), 0)


def simulate(
    test: Test,
    config: CoreConfig,
    watches: Iterable[Watch] = (),
    reset: Signal | None = None,
    cycles: int = 20000,
) -> None:
    """Runs `test(software)` on the registers of `config`, and `watches(ctx, core)` beside it.

    `reset`: a signal that resets them. It may cut transactions short: then the protocol is not watched.

    Raises `AssertionError` after `cycles`, and where the slave breaks the protocol.
    """
    core = RegisterFile(config)
    simulator = Simulator(core if reset is None else ResetInserter(reset)(core))
    simulator.add_clock(PERIOD)

    async def bench(ctx):
        ctx.set(core.checked, 1)
        await test(Software(ctx, core))

    async def patience(ctx):
        await ctx.delay(cycles * PERIOD)
        raise AssertionError(f"not done after {cycles} cycles")

    def background(watch):
        async def run(ctx):
            await watch(ctx, core)

        return run

    simulator.add_testbench(bench)
    protocol = [] if reset is not None else [slave_watch(core)]
    for each in (patience, *protocol, *map(background, watches)):
        simulator.add_testbench(each, background=True)
    simulator.run()


class Submits:
    """Notes every command submitted, by its members' names, and counts cycles of `cancel`."""

    def __init__(self):
        self.commands: list[dict[str, int]] = []
        self.aborts = 0

    async def __call__(self, ctx, core):
        names = list(core.command.shape().members)
        while True:
            _, _, submit, abort, *values = await ctx.tick().sample(
                core.submit, core.cancel, *(core.command[name] for name in names)
            )
            self.aborts += abort
            self.commands += [dict(zip(names, values, strict=True))] if submit else []


async def write_beside(software: Software, name: str, value: int, cycle: int, **pulse: int) -> int:
    """Writes a register, and sets inputs to `pulse` in one `cycle`, counted from the write's offer.

    Returns -1, 0 or 1: that cycle is before the one in which the register is written, is it, or comes after.
    It is the one before the answer.
    """
    ctx, core = software.ctx, software.core
    offer = {
        "awaddr": register(name).offset,
        "awvalid": 1,
        "wdata": value,
        "wstrb": ALL_STROBES,
        "wvalid": 1,
        "bready": 1,
    }
    for port, now in offer.items():
        ctx.set(getattr(core, f"s_axil_{port}"), now)
    answers = []
    for each in range(CYCLES_OF_WRITE):
        for port, now in pulse.items():
            ctx.set(getattr(core, port), now if each == cycle else 0)
        _, _, valid = await ctx.tick().sample(core.s_axil_bvalid)
        answers += [each] if valid else []
        ctx.set(core.s_axil_awvalid, 0)
        ctx.set(core.s_axil_wvalid, 0)
    for port in (*(getattr(core, port) for port in pulse), core.s_axil_bready):
        ctx.set(port, 0)
    (answer,) = answers
    return (cycle > answer - 1) - (cycle < answer - 1)
