"""What paces the array: operands in, sums through the dequantizers, results out."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.matrix import Member
from ..ports import Component, by_name


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
    stalled: in, 1: sums are held up in this cycle.
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
                **({"stalled": In(1)} if config.bank_cols > 1 else {}),
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
        stalled = by_name(self).get("stalled", Const(0))

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


class DrainControl(Component):
    """Follows every sum of a group through the dequantizers, and announces finished rows.

    Item n of a dequantizer is row n // `Config.bank_cols` of its segment and column n % `Config.bank_cols` of
    its bank. For a group that ends in cycle t it reaches stage s of the dequantizer that lags by L in cycle
    t+s+L+n, and later by as many cycles as sums were held up. One line of registers, tapped at s+L, serves
    all. Outputs that go to all dequantizers stand side by side, in the order of `Config.lags`, the first in
    the low bits; `mixpe.hw.array.dequant.Dequantizer` says what each means.

    With banks, the sums of a tile's first group are held up while the row of results before, in whose place
    they come, has not been read.

    Ports
    -----
    group_end: in, 1, cycle t: a group ends.
    first, last: in, 1, with it: the group is its tile's first, or last.
    slot: in, with it, only if `Config.scale_slots` > 1: where its members are.
    rows_read: in, only with banks: how many rows of the tile being read out have been read; 0 if all have.
    stalled: out, 1, only with banks: sums are held up.
    arrives, arrive_words: out, to all columns, only with banks.
    items, item_rows, item_cols: out, only with banks.
    reads, read_rows, firsts, running_cols, writes, write_rows, write_cols: out; those of columns, and
        `reads`, only with banks.
    <member>_slots: out, only if `Config.scale_slots` > 1; <member>_cols: out, only with banks.
    follow_row: out, `Config.segment_row_bits`, stage `Config.sum_latency` - 1 of the first bank, only with
        banks: the row whose S, and other things that belong to a row, are taken up.
    follows: out, to all banks, only with banks: in that stage, their row begins.
    finished: out, 1: in the next cycle another row of a tile's results can be read.
    """

    def __init__(self, config: Config):
        self.config = config
        ports = {"group_end": In(1), "first": In(1), "last": In(1), "finished": Out(1)}
        if config.scale_slots > 1:
            ports["slot"] = In(config.scale_slot_bits)
        if config.bank_cols > 1:
            ports |= {
                "rows_read": In(config.row_index_bits),
                "stalled": Out(1),
                "arrives": Out(config.cols),
                "arrive_words": Out(config.cols * config.held_word_bits),
                "follow_row": Out(config.segment_row_bits),
                "follows": Out(config.banks),
            }
        widths = _line_widths(config)
        ports |= {
            port: Out(len(config.lags) * widths[line]) for port, (line, _) in spread_ports(config).items()
        }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config, banked = self.config, self.config.bank_cols > 1

        # Stage 1: the group that ended, item after item.
        valid, first, last = (Signal(name=f"{name}1") for name in ("valid", "first", "last"))
        row = Signal(config.segment_row_bits, name="row1")
        col = Signal(config.bank_col_bits, name="col1")
        moves, row_ends = Const(1), Const(1)
        heads: dict[str, Value] = {"valid": valid, "first": first, "last": last, "row": row}
        if banked:
            # Whether rows of the tile before are still to be read when a tile's first group comes.
            behind, reading = Signal(), self.rows_read.any()
            with m.If(self.group_end & self.first):
                m.d.sync += behind.eq(reading)
            with m.Elif(~reading):
                m.d.sync += behind.eq(0)
            held = first & behind & reading & (row >= self.rows_read)
            m.d.comb += self.stalled.eq(valid & held)
            moves, row_ends = ~self.stalled, col == config.bank_cols - 1
            with m.If(moves):
                m.d.sync += col.eq(col + 1)
                with m.If(row_ends):
                    m.d.sync += col.eq(0)
            item = Signal()
            m.d.comb += item.eq(valid & moves)
            heads |= {"valid": item, "col": col}
        with m.If(moves & row_ends):
            m.d.sync += row.eq(row + 1)
            with m.If(row == config.segment_rows - 1):
                m.d.sync += valid.eq(0)
        with m.If(self.group_end):
            m.d.sync += [valid.eq(1), first.eq(self.first), last.eq(self.last), row.eq(0), col.eq(0)]
        if config.scale_slots > 1:
            slot = Signal.like(self.slot, name="slot1")
            with m.If(self.group_end):
                m.d.sync += slot.eq(self.slot)
            heads["slot"] = slot

        lines = {name: _Line(m, name, head) for name, head in heads.items()}
        if banked:
            begins = heads["valid"] & (col == 0)
            lines["read"] = _Line(m, "read", begins & ~first)
            lines["follow"] = _Line(m, "follow", begins)
            self._arrivals(m)
            stage = config.sum_latency - 1
            m.d.comb += [
                self.follow_row.eq(lines["row"].at(stage)),
                self.follows.eq(lines["follow"].taps(stage, config.lags)),
            ]
        for port, (line, stage) in spread_ports(config).items():
            m.d.comb += by_name(self)[port].eq(lines[line].taps(stage, config.lags))

        # The last bank of each segment.
        stage, ends = config.write_latency, config.lags[config.banks - 1 :: config.banks]
        ended = lines["valid"].taps(stage, ends) & lines["last"].taps(stage, ends)
        if banked:
            ended &= lines["col"].at(stage + ends[-1]) == config.bank_cols - 1
        finished = ended.any()
        for _ in range(config.read_wait):
            waiting = Signal(name="finished_waiting")
            m.d.sync += waiting.eq(finished)
            finished = waiting
        m.d.comb += self.finished.eq(finished)
        return m

    def _arrivals(self, m: Module) -> None:
        """Follows a group's sums to the holds: row i's is on column j's bus in cycle t+2+i+j, or of a cluster
        in t+2+i // `Config.cluster`+j // `Config.cluster`."""
        config = self.config
        valid, row = Signal(name="arrives1"), Signal(config.held_word_bits, name="arrive_word1")
        m.d.sync += row.eq(row + 1)
        with m.If(row == config.held_words - 1):
            m.d.sync += valid.eq(0)
        with m.If(self.group_end):
            m.d.sync += [valid.eq(1), row.eq(0)]
        lags = [col // config.cluster for col in range(config.cols)]
        m.d.comb += [
            self.arrives.eq(_Line(m, "arrives", valid).taps(2, lags)),
            self.arrive_words.eq(_Line(m, "arrive_word", row).taps(2, lags)),
        ]


class _Line:
    """A line of registers behind `head`, which is of stage 1; it is made as long as it is tapped."""

    def __init__(self, m: Module, name: str, head: Value):
        self.m, self.name, self.stages = m, name, [head]

    def at(self, stage: int) -> Value:
        """Returns what has reached `stage`."""
        for index in range(len(self.stages) + 1, stage + 1):
            self.stages.append(Signal(len(self.stages[0]), name=f"{self.name}{index}"))
            self.m.d.sync += self.stages[-1].eq(self.stages[-2])
        return self.stages[stage - 1]

    def taps(self, stage: int, lags: Sequence[int]) -> Value:
        """Returns what has reached `stage` of all that lag by `lags`, the first in the low bits."""
        return Cat(self.at(stage + lag) for lag in lags)


def _line_widths(config: Config) -> dict[str, int]:
    return {
        "valid": 1,
        "first": 1,
        "last": 1,
        "read": 1,
        "row": config.segment_row_bits,
        "col": config.bank_col_bits,
        "slot": config.scale_slot_bits,
    }


def spread_ports(config: Config) -> dict[str, tuple[str, int]]:
    """Returns the line and the stage of each port of `DrainControl` that goes to all dequantizers."""
    taps = {
        "read_rows": ("row", config.product_latency - 1),
        "firsts": ("first", config.product_latency),
        "writes": ("valid", config.write_latency),
        "write_rows": ("row", config.write_latency),
    }
    if config.bank_cols > 1:
        taps |= {
            "item_rows": ("row", 3),
            "item_cols": ("col", 3),
            "reads": ("read", config.product_latency - 1),
            "running_cols": ("col", config.product_latency),
            "write_cols": ("col", config.write_latency),
        }
    for member in config.matrix.members:
        if config.scale_slots > 1:
            taps[slots_port(member)] = ("slot", config.use_latency(member))
        if config.bank_cols > 1:
            taps[cols_port(member)] = ("col", config.use_latency(member))
    return taps


def slots_port(member: Member) -> str:
    """Returns the name of the port that chooses a member's slot in every dequantizer."""
    return f"{member.name}_slots"


def cols_port(member: Member) -> str:
    """Returns the name of the port that chooses the column whose member every dequantizer uses."""
    return f"{member.name}_cols"


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
        banked = {"free": In(1), "col": Out(config.bank_col_bits)} if config.bank_cols > 1 else {}
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
        if config.bank_cols > 1:
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
            self.left.eq(ends if config.bank_cols == 1 else self.take & ~row.any()),
        ]
        with m.If(self.advance):
            m.d.sync += [valids.eq(Cat(self.take, valids)), lasts.eq(Cat(ends, lasts))]
        with m.If(self.take):
            m.d.sync += row.eq(row + 1)
        with m.If(ends):
            m.d.sync += row.eq(0)
        return m
