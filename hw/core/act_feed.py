"""Beats of activations: rows past M and lanes past a group's end are zero."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec import layout
from ...spec.core import SIZE_BITS, CoreConfig
from ..array.beats import Beat
from ..ports import Component
from .plan import walk_tiles


class ActFeed(Component):
    """Makes beats of the array's stream `acts` of what the activations' banks hold.

    Combinational from `i` to `o`, and back from `o.ready` to `i.ready`.

    Ports
    -----
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    rows: in, `SIZE_BITS`, plan: M.
    cols: in, `SIZE_BITS`, plan: N.
    tail: in, up to `Config.lanes`, plan: lanes in use in a tile's last beat.
    i: stream of the lanes of all rows in their containers, row 0 and lane 0 in the low bits, in.
    last: in, 1: what is on `i` is its tile's last.
    o: stream of the array's beats `acts`, out.
    done: out, 1: all beats of the product are taken.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        array = config.array
        super().__init__(
            {
                "start": In(1),
                "rows": In(SIZE_BITS),
                "cols": In(SIZE_BITS),
                "tail": In(range(array.lanes + 1)),
                "i": In(stream.Signature(array.rows * layout.act_beat_bits(array))),
                "last": In(1),
                "o": Out(stream.Signature(Beat(array, "acts"))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        array = self.config.array
        take = Signal()
        end_tile = Signal()
        rows, done = walk_tiles(m, self.config, self.start, self.rows, self.cols, end_tile)
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~done),
            self.o.payload.last.eq(self.last),
            self.i.ready.eq(self.o.ready & ~done),
            take.eq(self.o.valid & self.o.ready),
            end_tile.eq(take & self.last),
            self.done.eq(done),
        ]
        lanes_used = self._lanes(m, take, end_tile)
        container = layout.container_bits(array)
        for row in range(array.rows):
            for lane in range(array.lanes):
                code = self.i.payload.word_select(row * array.lanes + lane, container)[: array.act_bits]
                used = (rows > row) & lanes_used[lane]
                m.d.comb += self.o.payload.a[row][lane].eq(Mux(used, code, 0))
        return m

    def _lanes(self, m: Module, take: Value, end_tile: Value) -> Signal:
        """Returns which lanes are in use: all of them, but for a group's last beat."""
        array = self.config.array
        used = Signal(array.lanes, init=-1)
        if array.lanes == 1:
            return used
        m.d.comb += used.eq(-1)
        if ragged := array.group % array.lanes:
            beat = Signal(range(array.group_beats))
            end_group = Signal()
            m.d.comb += end_group.eq(beat == array.group_beats - 1)
            with m.If(take):
                m.d.sync += beat.eq(Mux(end_group | end_tile, 0, beat + 1))
            with m.If(end_group):
                m.d.comb += used.eq((1 << ragged) - 1)
        with m.If(self.last):
            m.d.comb += used.eq(Cat(self.tail > lane for lane in range(array.lanes)))
        return used
