"""Operands that are used in the order in which they come: a queue of words, cut into beats."""

from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.core import SIZE_BITS, CoreConfig
from ..modules import Modules
from ..ports import Component
from ..ram import place_ram


class StreamBuffer(Component):
    """Serves tiles of beats of `width` bits from words that lie in memory without gaps between beats.

    The bits of a tile's last word beyond its last beat are dropped. A beat leaves in every cycle where a word
    holds as much, at the earliest three cycles after its last word was loaded. `depth`: words that the queue
    holds.

    Ports
    -----
    reserve: in, 1: a pulse; the words of a burst take their room. Legal while `room` is high.
    more: in, `CoreConfig.burst_index_bits`, in the cycle of `reserve`: how many words, less one.
    room: out, 1: a burst of any length has room.
    low: out, 1: less than an eighth of the queue is filled or on the way.
    load: in, 1: a word comes, for which room was reserved.
    data: in, `CoreConfig.data_bits`, in the cycle of `load`: the word.
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    count: in, `SIZE_BITS`, plan: beats of a tile.
    out: stream of beats of `width` bits, out.
    end_tile: out, 1: a tile's last beat is taken in this cycle.
    """

    def __init__(self, config: CoreConfig, *, depth: int, width: int, modules: Modules | None = None):
        self.config, self.modules = config, modules
        self.depth, self.width = depth, width
        super().__init__(
            {
                "reserve": In(1),
                "more": In(config.burst_index_bits),
                "room": Out(1),
                "low": Out(1),
                "load": In(1),
                "data": In(config.data_bits),
                "start": In(1),
                "count": In(SIZE_BITS),
                "out": Out(stream.Signature(width)),
                "end_tile": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, depth = self.config, self.depth
        pop = Signal()
        accept = Signal()

        # The queue: a memory, and behind its read port a word that waits.
        space = Signal(range(depth + 1), init=depth)
        filled = Signal(range(depth + 1))
        write = Signal(range(depth))
        read = Signal(range(depth))
        have = Signal()
        ram = place_ram(m, "ram", depth, config.data_bits, self.modules, config.name)
        m.d.comb += [
            self.room.eq(space >= config.burst),
            self.low.eq(space > depth - depth // 8),
            pop.eq(filled.any() & (~have | accept)),
            ram.write.eq(self.load),
            ram.write_address.eq(write),
            ram.write_data.eq(self.data),
            ram.read.eq(pop),
            ram.read_address.eq(read),
        ]
        m.d.sync += [
            space.eq(space - Mux(self.reserve, self.more + 1, 0) + pop),
            filled.eq(filled + self.load - pop),
            write.eq(write + self.load),
            read.eq(read + pop),
        ]
        with m.If(pop | accept):
            m.d.sync += have.eq(pop)

        # Words into beats: a store of whole units, of which both are made.
        unit = gcd(config.data_bits, self.width)
        per_word, per_beat = config.data_bits // unit, self.width // unit
        capacity = per_word + per_beat - 1
        level = Signal(range(capacity + 1))
        kept = Signal(range(capacity + 1))
        store = Signal(capacity * unit)
        beats = Signal(SIZE_BITS)  # of the tile, left
        take = Signal()
        last = Signal()
        rest = store[self.width :] if capacity > per_beat else Const(0, 1)
        m.d.comb += [
            self.out.payload.eq(store),
            self.out.valid.eq(level >= per_beat),
            take.eq(self.out.valid & self.out.ready),
            self.end_tile.eq(take & last),
            last.eq(beats == 1),
            kept.eq(Mux(take, Mux(last, 0, level - per_beat), level)),
            # A tile's last word is there before its last beat: the next tile's wait until that is taken.
            accept.eq(have & (kept < per_beat)),
        ]
        # Above the units that count, the store is zero.
        left = Mux(take, Mux(last, 0, rest), store)
        behind = Cat(Const(0, unit.bit_length() - 1), kept[: (per_beat - 1).bit_length()])
        m.d.sync += store.eq(left | Mux(accept, ram.read_data << behind, 0))
        with m.If(take):
            m.d.sync += beats.eq(Mux(last, self.count, beats - 1))
        m.d.sync += level.eq(kept + Mux(accept, per_word, 0))
        with m.If(self.start):
            m.d.sync += [beats.eq(self.count), level.eq(0), store.eq(0)]
        return m
