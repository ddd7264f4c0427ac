"""What paces the array: operands in, results out."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..ports import Component


class Pacer(Component):
    """Decides in which cycles a beat of operands enters, and which end a group.

    A beat that ends a group (the group's last by count, or `last`) waits until the group's scales are there
    and the previous group ended `Config.group_gap` cycles ago, in which its sums were not held up. If it is
    the first group of a tile, the previous tile has also left the dequantizers, or begun to where sums are
    held. Other beats never wait, but for `Config.group_gap` - 1 cycles after reset, in which the array drains
    what it held.

    Ports
    -----
    operands: in, 1: a beat of all operands is there.
    last: in, 1, with it: the beat is its tile's last.
    scales: in, 1: a beat of scales is there.
    left: in, 1: a pulse; the pending tile's last row is read, or its first where sums are held.
    stalled: in, 1, only with banks of several columns: sums are held up in this cycle.
    open: out, 1: the wait after reset is over.
    take: out, 1: the beat enters in this cycle.
    group_end: out, 1: it ends a group, and takes the scales.
    first: out, 1: that group is its tile's first.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "operands": In(1),
                "last": In(1),
                "scales": In(1),
                "left": In(1),
                **({"stalled": In(1)} if config.banked else {}),
                "open": Out(1),
                "take": Out(1),
                "group_end": Out(1),
                "first": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        count = Signal(range(config.group_beats))
        gap = Signal(range(config.group_gap), init=config.group_gap - 1)
        flushing = Signal(init=1)
        first = Signal(init=1)
        pending = Signal()
        stalled = self.stalled if config.banked else Const(0)

        ending = Signal()
        m.d.comb += [
            ending.eq((count == config.group_beats - 1) | self.last),
            self.open.eq(~(flushing & gap.any())),
            self.take.eq(
                self.operands
                & self.open
                & (~ending | (self.scales & ~gap.any() & ~stalled & ~(first & pending)))
            ),
            self.group_end.eq(self.take & ending),
            self.first.eq(first),
        ]
        with m.If(self.take):
            m.d.sync += count.eq(count + 1)
        with m.If(gap.any()):
            with m.If(~stalled):
                m.d.sync += gap.eq(gap - 1)
        with m.Else():
            m.d.sync += flushing.eq(0)
        with m.If(self.left):
            m.d.sync += pending.eq(0)
        with m.If(self.group_end):
            m.d.sync += [count.eq(0), gap.eq(config.group_gap - 1), first.eq(self.last)]
            with m.If(self.last):
                m.d.sync += pending.eq(1)
        return m


class ReadOut(Component):
    """Moves finished rows out of the dequantizers' memories, in order, against the output's back-pressure.

    Ports
    -----
    finished: in, 1: a pulse; one more row of the tile can be read from the next cycle on.
    token: in, 1: a token scale is there; constant 1 where there are none.
    free: in, 1, only with banks: no dequantizer reads running sums in this cycle.
    ready: in, 1: of the output stream.
    advance: out, 1: the read-out pipeline moves.
    take: out, 1: row `row` enters it, with its token scale.
    row: out, `Config.row_index_bits`.
    col: out, `Config.bank_col_bits`, only with banks, from the next cycle on: the column of its bank whose
        result enters the pipeline.
    left: out, 1: a pulse with the tile's last row, or its first where sums are held (`Pacer`).
    valid, last: out, 1: of the output stream, `Config.output_latency` cycles after `take`.
    """

    def __init__(self, config: Config):
        self.config = config
        banked = {"free": In(1), "col": Out(config.bank_col_bits)} if config.banked else {}
        super().__init__(
            {
                "finished": In(1),
                "token": In(1),
                **banked,
                "ready": In(1),
                "advance": Out(1),
                "take": Out(1),
                "row": Out(config.row_index_bits),
                "left": Out(1),
                "valid": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        waiting = Signal(range(config.rows + 1))
        row = Signal(config.row_index_bits)
        valids = Signal(config.output_latency)
        lasts = Signal(config.output_latency)
        ends = Signal()

        can_read: Value = waiting.any()
        if config.banked:
            col = Signal(config.bank_col_bits, init=config.bank_cols - 1)
            read = col == config.bank_cols - 1
            can_read &= read & self.free
            m.d.comb += self.col.eq(col)
            with m.If(self.advance & ~read):
                m.d.sync += col.eq(col + 1)
            with m.If(self.take):
                m.d.sync += col.eq(0)

        m.d.sync += waiting.eq(waiting + self.finished - self.take)
        m.d.comb += [
            self.valid.eq(valids[-1]),
            self.last.eq(lasts[-1]),
            self.advance.eq(~self.valid | self.ready),
            self.take.eq(self.advance & self.token & can_read),
            self.row.eq(row),
            ends.eq(self.take & (row == config.rows - 1)),
            self.left.eq(self.take & ~row.any() if config.banked else ends),
        ]
        with m.If(self.advance):
            m.d.sync += [valids.eq(Cat(self.take, valids)), lasts.eq(Cat(ends, lasts))]
        with m.If(self.take):
            m.d.sync += row.eq(row + 1)
        with m.If(ends):
            m.d.sync += row.eq(0)
        return m
