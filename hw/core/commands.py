"""Commands: checked, queued, run one after another, and ended early where something fails."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from ...spec.layout import ALIGNMENT, LAYOUT_VERSION, regions
from ...spec.registers import CODE_BITS, TAG_BITS, Error
from ..modules import Modules, place
from ..ports import Component
from .command import CommandPort
from .range_check import RangeCheck

_ALIGNED = (ALIGNMENT - 1).bit_length()


class Job(data.StructLayout):
    """Holds a command that the core has accepted: its members are legal, and as wide as they can be.

    Members, as of `Command`: `tag`, `a_address`, `w_address`, `s_address`, `t_address`, `o_address`
    (`CoreConfig.address_bits`), `a_stride`, `o_stride` (`STRIDE_BITS`), `m`, `k` and `n` (`SIZE_BITS`).
    """

    def __init__(self, config: CoreConfig):
        addresses = {f"{letter}_address": config.address_bits for letter in "awsto"}
        strides = {f"{letter}_stride": STRIDE_BITS for letter in "ao"}
        super().__init__(
            {"tag": TAG_BITS, **addresses, **strides, "m": SIZE_BITS, "k": SIZE_BITS, "n": SIZE_BITS}
        )


class Commands(Component):
    """Checks, queues and runs commands. `modules`: as for `mixpe.hw.modules`.

    A command that leaves the queue becomes `job`. Then `plan` is pulsed and `planned` awaited, `start` is
    pulsed, and the command is done when `active` has fallen. It ends early by an `error` or by `cancel`: then
    `failed` is pulsed, `hold` stays high until `quiet` is, `clear` is pulsed, and the queue is empty. Until
    then every command that is submitted is refused.

    Ports
    -----
    The members of `CommandPort`, flipped, and:

    job: out, `Job`: the command that runs; it stays until that ends.
    plan: out, 1: a pulse; the sizes of the job's tiles are to be computed.
    planned: in, 1: a pulse; they are.
    start: out, 1: a pulse; the job's operands are to be read.
    active: in, 1: from the cycle behind `start` on, results are to come or to be written.
    error: in, `CODE_BITS`: the `Error` that memory answers in this cycle, or 0.
    hold: out, 1: no more bursts are to begin, as the job ends early.
    quiet: in, 1: no burst is under way.
    clear: out, 1: a pulse; all that holds operands is to be reset.
    running: out, 1: from the cycle behind the one in which a command leaves the queue to that of `done` or
        `clear`.
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        self.config, self.modules = config, modules
        super().__init__(
            {
                **CommandPort().flip().members,
                "job": Out(Job(config)),
                "plan": Out(1),
                "planned": In(1),
                "start": Out(1),
                "active": In(1),
                "error": In(CODE_BITS),
                "hold": Out(1),
                "quiet": In(1),
                "clear": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = Job(self.config)
        fifo: Any = SyncFIFO(width=job.size, depth=self.config.queue)
        m.submodules.queue = ResetInserter(self.clear)(fifo)
        ending = Signal()
        failing = Signal()

        # What is cheap to see is seen at once; else the regions are checked, and all conditions once more.
        check: Any = place(
            m,
            "range_check",
            lambda: RangeCheck(self.config, self.modules),
            self.modules,
            f"{self.config.name}_range_check",
        )
        refusal = Signal(CODE_BITS)
        m.d.comb += [
            refusal.eq(self._refusal(fifo.w_rdy, ending)),
            check.command.eq(self.command),
            check.start.eq(self.offered & ~refusal.any()),
            self.checked.eq(check.done | (check.idle & refusal.any())),
            self.refused.eq(Mux(refusal.any(), refusal, check.error)),
        ]

        accepted = Signal(job)
        m.d.comb += [accepted[name].eq(self.command[name]) for name, _ in job]
        m.d.comb += [
            fifo.w_en.eq(self.submit & ~self.refused.any()),
            fifo.w_data.eq(accepted),
            self.queued.eq(fifo.level),
            self.busy.eq(self.running | fifo.r_rdy),
            self.done_tag.eq(self.job.tag),
            self.failed.eq(failing),
            self.failed_code.eq(Mux(self.error.any() & self.running, self.error, Error.ABORTED)),
            # One that leaves the queue in this very cycle is ended too.
            self.failed_tag.eq(Mux(self.running, self.job.tag, data.View(job, fifo.r_data).tag)),
        ]
        m.d.comb += failing.eq(
            ~ending & ((self.running & self.error.any()) | ((self.running | fifo.r_rdy) & self.cancel))
        )
        with m.FSM():
            with m.State("IDLE"):
                with m.If(fifo.r_rdy):
                    m.d.comb += fifo.r_en.eq(1)
                    m.d.sync += [self.job.eq(fifo.r_data), self.running.eq(1)]
                    m.next = "PLAN"
            with m.State("PLAN"):
                m.d.comb += self.plan.eq(1)
                m.next = "PLANNING"
            with m.State("PLANNING"):
                with m.If(self.planned):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(~self.active & ~failing & ~ending):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += self.running.eq(0)
                    m.next = "IDLE"
                with m.Elif(ending & self.quiet):
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += self.clear.eq(1)
                m.d.sync += [self.running.eq(0), ending.eq(0)]
                m.next = "IDLE"
        m.d.comb += self.hold.eq(ending)
        with m.If(failing):
            m.d.sync += ending.eq(1)
        return m

    def _refusal(self, room: Value, ending: Value) -> Value:
        """Returns the `Error` that the command offered meets, 0 if it has none but perhaps in its regions."""
        command, config = self.command, self.config
        letters = [each.lower() for each in regions(config.array)]
        addresses = [command[f"{letter}_address"] for letter in letters]
        sizes = [command[letter] for letter in "mkn"]
        lines = [*addresses, command.a_stride, command.o_stride]
        refusals = (
            (Error.PENDING, self.error_pending | ending),
            (Error.LAYOUT, command.layout != LAYOUT_VERSION),
            (Error.GROUP, command.group != config.array.group),
            (Error.ZERO_SIZE, Cat(size == 0 for size in sizes).any()),
            (Error.SIZE, Cat(size[SIZE_BITS:].any() for size in sizes).any()),
            (Error.ALIGNMENT, Cat(line[:_ALIGNED].any() for line in lines).any()),
            (Error.ADDRESS, Cat(a[config.address_bits :].any() for a in addresses).any()),
            (Error.QUEUE_FULL, ~room),
        )
        found: Value = Const(Error.NONE, CODE_BITS)
        for error, condition in reversed(refusals):
            found = Mux(condition, error, found)
        return found
