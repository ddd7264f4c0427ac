"""Commands: checked, queued, run one after another, and ended early where something fails."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from ...spec.layout import ALIGNMENT, LAYOUT_VERSION
from ...spec.registers import CODE_BITS, QUEUED_BITS, TAG_BITS, Error
from .command import Command

_ALIGNED = (ALIGNMENT - 1).bit_length()


class Job(data.StructLayout):
    """A command that the core has accepted: its members are legal, and as wide as they can be."""

    def __init__(self, config: CoreConfig):
        addresses = {f"{letter}_address": config.address_bits for letter in "awsto"}
        strides = {f"{letter}_stride": STRIDE_BITS for letter in "ao"}
        super().__init__(
            {"tag": TAG_BITS, **addresses, **strides, "m": SIZE_BITS, "k": SIZE_BITS, "n": SIZE_BITS}
        )


class Commands(wiring.Component):
    """Checks, queues and runs commands.

    Ports: `submit`, `command`, `refused`, `error_pending`, `cancel`, `busy`, `queued`, `done`,
    `done_tag`, `failed`, `failed_code`, `failed_tag`: as of `RegisterFile`.

    A command runs as `job`, which stays until it ends: `plan` (pulse), then `planned` is awaited, then
    `start` (pulse), then `active` to fall. It ends early with `error` (an `Error`, or 0) or `cancel`:
    `failed` tells, `hold` is high until `quiet` is, then `clear` (pulse) resets all that held operands, and
    the queue is empty; until then nothing is accepted. `running`: from the cycle behind the one in which a
    command leaves the queue to that of `done` or `clear`.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "submit": In(1),
                "command": In(Command()),
                "refused": Out(CODE_BITS),
                "error_pending": In(1),
                "cancel": In(1),
                "busy": Out(1),
                "queued": Out(QUEUED_BITS),
                "done": Out(1),
                "done_tag": Out(TAG_BITS),
                "failed": Out(1),
                "failed_code": Out(CODE_BITS),
                "failed_tag": Out(TAG_BITS),
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
        fifo = SyncFIFO(width=job.size, depth=self.config.queue)
        m.submodules.queue = ResetInserter(self.clear)(fifo)
        ending, failing = Signal(), Signal()

        accepted = Signal(job)
        m.d.comb += [accepted[name].eq(self.command[name]) for name, _ in job]
        m.d.comb += [
            self.refused.eq(self._refusal(fifo.w_rdy, ending)),
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

    def _refusal(self, room, ending):
        """The `Error` that the command submitted meets, 0 if it is legal."""
        command, config = self.command, self.config
        letters = "awsto" if config.array.token_scale else "awso"
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
        found = Const(Error.NONE, CODE_BITS)
        for error, condition in reversed(refusals):
            found = Mux(condition, error, found)
        return found
