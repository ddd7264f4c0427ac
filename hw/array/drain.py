"""What follows group sums through the dequantizers."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..ports import Component, by_name
from .dequant import col_port, slot_port


@dataclass(frozen=True)
class Tap:
    """Describes what every dequantizer is told of the item that reaches one of its stages.

    outputs: the port of `DrainControl`, a place for each dequantizer. port: that of a dequantizer.
    line: what is followed. width: its bits. stage: when the dequantizer needs it.
    """

    outputs: str
    port: str
    line: str
    width: int
    stage: int


def taps(config: Config) -> tuple[Tap, ...]:
    """Returns all that goes to every dequantizer."""
    row, col, slot = config.segment_row_bits, config.bank_col_bits, config.scale_slot_bits
    product, write = config.product_latency, config.write_latency
    found = [
        Tap("read_rows", "read_row", "row", row, product - 1),
        Tap("firsts", "first", "first", 1, product),
        Tap("writes", "write", "valid", 1, write),
        Tap("write_rows", "write_row", "row", row, write),
    ]
    if config.banked:
        found += [
            Tap("item_rows", "item_row", "row", row, config.item_latency),
            Tap("item_cols", "item_col", "col", col, config.item_latency),
            Tap("reads", "read", "read", 1, product - 1),
            Tap("running_cols", "running_col", "col", col, product),
            Tap("write_cols", "write_col", "col", col, write),
        ]
    for member in config.matrix.members:
        stage = config.use_latency(member)
        if config.scale_slots > 1:
            found.append(Tap(f"{member.name}_slots", slot_port(member), "slot", slot, stage))
        if config.banked:
            found.append(Tap(f"{member.name}_cols", col_port(member), "col", col, stage))
    return tuple(found)


class DrainControl(Component):
    """Follows every sum of a group through the dequantizers, and announces finished rows.

    Item n of a dequantizer is row n // `Config.bank_cols` of its segment and column n % `Config.bank_cols` of
    its bank. For a group that ends in cycle t it reaches stage s of the dequantizer that lags by L in cycle
    t+s+L+n, and later by as many cycles as sums were held up. One line of registers, tapped at s+L, serves
    all. Outputs that go to all dequantizers stand side by side, in the order of `Config.lags`, the first in
    the low bits; `mixpe.hw.array.dequant.Dequantizer` says what each means.

    With banks of several columns, the sums of a tile's first group are held up while the row of results
    before, in whose place they come, has not been read.

    Ports
    -----
    group_end: in, 1, cycle t: a group ends.
    first, last: in, 1, with it: the group is its tile's first, or last.
    slot: in, with it, only if `Config.scale_slots` > 1: where its members are.
    rows_read: in, only with banks: how many rows of the tile being read out have been read; 0 if all have.
    stalled: out, 1, only with banks: sums are held up.
    arrives, arrive_words: out, to all columns, only with banks.
    those of `taps`: out, to all dequantizers.
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
        if config.banked:
            ports |= {
                "rows_read": In(config.row_index_bits),
                "stalled": Out(1),
                "arrives": Out(config.cols),
                "arrive_words": Out(config.cols * config.held_word_bits),
                "follow_row": Out(config.segment_row_bits),
                "follows": Out(config.banks),
            }
        ports |= {tap.outputs: Out(len(config.lags) * tap.width) for tap in taps(config)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config, banked = self.config, self.config.banked

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
        for tap in taps(config):
            m.d.comb += by_name(self)[tap.outputs].eq(lines[tap.line].taps(tap.stage, config.lags))

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
            self.arrives.eq(_Line(m, "arrives", valid).taps(config.bus_latency, lags)),
            self.arrive_words.eq(_Line(m, "arrive_word", row).taps(config.bus_latency, lags)),
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
