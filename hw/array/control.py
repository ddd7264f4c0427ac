"""What paces the array: operands in, results out."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.matrix import Member
from ..ports import Component, by_name


class Pacer(Component):
    """Decides in which cycles a beat of operands enters, and which end a group.

    A beat that ends a group (the group's last by count, or `last`) waits until the group's scales are
    there, the previous group ended `Config.group_gap` cycles ago and, if it is the first group of a
    tile, the previous tile has left the columns. Other beats never wait, but for `Config.group_gap` - 1
    cycles after reset, in which the array drains what it held.

    Ports
    -----
    operands: in, 1: a beat of all operands is there.
    last: in, 1, with it: the beat is its tile's last.
    scales: in, 1: a beat of scales is there.
    drained: in, 1: a pulse; the pending tile's last row is read.
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
                "drained": In(1),
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

        ending = Signal()
        m.d.comb += [
            ending.eq((count == config.group_beats - 1) | self.last),
            self.open.eq(~(flushing & gap.any())),
            self.take.eq(
                self.operands & self.open & (~ending | (self.scales & ~gap.any() & ~(first & pending)))
            ),
            self.group_end.eq(self.take & ending),
            self.first.eq(first),
        ]
        with m.If(self.take):
            m.d.sync += count.eq(count + 1)
        with m.If(gap.any()):
            m.d.sync += gap.eq(gap - 1)
        with m.Else():
            m.d.sync += flushing.eq(0)
        with m.If(self.drained):
            m.d.sync += pending.eq(0)
        with m.If(self.group_end):
            m.d.sync += [count.eq(0), gap.eq(config.group_gap - 1), first.eq(self.last)]
            with m.If(self.last):
                m.d.sync += pending.eq(1)
        return m


class DrainControl(Component):
    """Follows every row of group sums through all columns, and announces finished rows.

    Row i of a group that ends in cycle t reaches stage s of column j in cycle t+s+i+j. One line of registers,
    tapped at s+j, serves all columns. Outputs that go to the columns stand side by side, column 0 in the low
    bits; `mixpe.hw.array.dequant.Column` says what each means.

    Ports
    -----
    group_end: in, 1, cycle t: a group ends.
    first, last: in, 1, with it: the group is its tile's first, or last.
    slot: in, with it, only if `Config.scale_slots` > 1: where its members are.
    read_rows, firsts, writes, write_rows: out, to all columns.
    <member>_slots: out, to all columns, only if `Config.scale_slots` > 1.
    finished: out, 1: in this cycle the last column writes a row of its tile's last group.
    """

    def __init__(self, config: Config):
        self.config = config
        row, slot = config.row_index_bits, config.scale_slot_bits
        members = {
            "group_end": In(1),
            "first": In(1),
            "last": In(1),
            "read_rows": Out(config.cols * row),
            "firsts": Out(config.cols),
            "writes": Out(config.cols),
            "write_rows": Out(config.cols * row),
            "finished": Out(1),
        }
        if config.scale_slots > 1:
            members["slot"] = In(slot)
            members |= {slots_port(each): Out(config.cols * slot) for each in config.matrix.members}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config

        # Stage 1: the group that ended, row after row.
        valid, first, last = (Signal(name=f"{name}1") for name in ("valid", "first", "last"))
        row = Signal(config.row_index_bits, name="row1")
        m.d.sync += row.eq(row + 1)
        with m.If(row == config.rows - 1):
            m.d.sync += valid.eq(0)
        with m.If(self.group_end):
            m.d.sync += [valid.eq(1), first.eq(self.first), last.eq(self.last), row.eq(0)]

        def line(head, stage):
            """Delays `head` (stage 1) as far as the last column's `stage`; returns a list from stage 1."""
            stages = [head]
            for index in range(2, stage + config.cols):
                stages.append(Signal.like(head, name=f"{head.name[:-1]}{index}"))
                m.d.sync += stages[-1].eq(stages[-2])
            return stages

        def taps(stages, stage):
            return Cat(stages[stage - 1 : stage - 1 + config.cols])

        rows = line(row, config.write_latency)
        valids = line(valid, config.write_latency)
        m.d.comb += [
            self.read_rows.eq(taps(rows, config.product_latency - 1)),
            self.firsts.eq(taps(line(first, config.product_latency), config.product_latency)),
            self.writes.eq(taps(valids, config.write_latency)),
            self.write_rows.eq(taps(rows, config.write_latency)),
            self.finished.eq(valids[-1] & line(last, config.write_latency)[-1]),
        ]
        if config.scale_slots > 1:
            slot = Signal.like(self.slot, name="slot1")
            with m.If(self.group_end):
                m.d.sync += slot.eq(self.slot)
            slots = line(slot, config.scale_latency)
            for member in config.matrix.members:
                latency = config.use_latency(member)
                m.d.comb += by_name(self)[slots_port(member)].eq(taps(slots, latency))
        return m


def slots_port(member: Member) -> str:
    """Returns the name of the port that chooses a member's slot in every column."""
    return f"{member.name}_slots"


class ReadOut(Component):
    """Moves finished rows out of all columns' memories, in order, against the output's back-pressure.

    Ports
    -----
    finished: in, 1: a pulse; one more row of the tile can be read from the next cycle on.
    token: in, 1: a token scale is there; constant 1 where there are none.
    ready: in, 1: of the output stream.
    advance: out, 1: the read-out pipeline moves.
    take: out, 1: row `row` enters it, with its token scale.
    row: out, `Config.row_index_bits`.
    drained: out, 1: a pulse with the tile's last row.
    valid, last: out, 1: of the output stream, `Config.output_latency` cycles after `take`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "finished": In(1),
                "token": In(1),
                "ready": In(1),
                "advance": Out(1),
                "take": Out(1),
                "row": Out(config.row_index_bits),
                "drained": Out(1),
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

        m.d.sync += waiting.eq(waiting + self.finished - self.take)
        m.d.comb += [
            self.valid.eq(valids[-1]),
            self.last.eq(lasts[-1]),
            self.advance.eq(~self.valid | self.ready),
            self.take.eq(self.advance & self.token & waiting.any()),
            self.row.eq(row),
            self.drained.eq(self.take & (row == config.rows - 1)),
        ]
        with m.If(self.advance):
            m.d.sync += [valids.eq(Cat(self.take, valids)), lasts.eq(Cat(self.drained, lasts))]
        with m.If(self.take):
            m.d.sync += row.eq(row + 1)
        with m.If(self.drained):
            m.d.sync += row.eq(0)
        return m
