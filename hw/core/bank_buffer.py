"""Two banks of operands that are used again: one is filled while the other is read."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.core import SIZE_BITS, CoreConfig
from ..modules import Modules
from ..ports import Component
from ..ram import place_ram
from .loaders import BankTag


class BankBuffer(Component):
    """Serves tiles of elements, from `rows` memories in step, out of two banks of `depth` words each.

    If a tile fits in a bank, the bank serves all column tiles of a strip; else each bank serves its part of
    one tile. The tiles of strip i begin with element i * `step`, modulo the elements of a word, of their
    first word; a `step` other than 0 needs tiles that fit in a bank. `width`: bits of an element. An element
    of each row leaves in every cycle, at the earliest two cycles after its word was loaded; a block of a bank
    can be read once its last word is loaded.

    Ports
    -----
    claim: in, 1: a pulse; the next bank will be filled. Legal while `free` is high.
    free: out, 1: the next bank may be claimed.
    load: in, 1: a word comes.
    data: in, `CoreConfig.data_bits`, in the cycle of `load`: the word.
    tag: in, `BankTag`, in the cycle of `load`: where its burst goes.
    index: in, `CoreConfig.burst_index_bits`, in the cycle of `load`: its place in the burst.
    end: in, 1, in the cycle of `load`: it is the burst's last.
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    count: in, `SIZE_BITS`, plan: elements of a tile.
    cols: in, `SIZE_BITS`, plan: N.
    out: stream of `rows` elements of `width` bits, row 0 in the low bits, out.
    last: out, 1: the elements on `out` are their tile's last.
    starved: out, 1: the next word is due, and not there yet.
    """

    def __init__(
        self,
        config: CoreConfig,
        *,
        rows: int,
        depth: int,
        width: int,
        step: int = 0,
        modules: Modules | None = None,
    ):
        self.config, self.modules = config, modules
        self.rows, self.depth, self.width = rows, depth, width
        self.per_word = config.data_bits // width
        self.step = step % self.per_word
        super().__init__(
            {
                "claim": In(1),
                "free": Out(1),
                "load": In(1),
                "data": In(config.data_bits),
                "tag": In(BankTag(config, rows, depth)),
                "index": In(config.burst_index_bits),
                "end": In(1),
                "start": In(1),
                "count": In(SIZE_BITS),
                "cols": In(SIZE_BITS),
                "out": Out(stream.Signature(rows * width)),
                "last": Out(1),
                "starved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place_bits = max(1, (self.depth - 1).bit_length())
        claimed = Signal(range(3))  # banks
        complete = Signal(2)
        blocks = [
            Signal(range(self.depth // self.config.burst + 2), name=f"blocks{bank}") for bank in range(2)
        ]

        # Filling.
        released = Signal(2)
        end_block = Signal()
        loaded = Signal(2)
        m.d.comb += [
            self.free.eq(claimed != 2),
            end_block.eq(self.load & self.end & self.tag.end_block),
            loaded.eq(Cat(end_block & ~self.tag.bank, end_block & self.tag.bank)),
        ]
        m.d.sync += [
            claimed.eq(claimed + self.claim - released.any()),
            complete.eq(~released & (complete | Mux(self.tag.end_chunk, loaded, 0))),
        ]
        for index in range(2):
            m.d.sync += blocks[index].eq(Mux(released[index], 0, blocks[index] + loaded[index]))

        # The next word to read.
        bank = Signal()
        word = Signal(place_bits)
        # The place of the strip's first element in its word.
        first: Any = Signal(range(self.per_word)) if self.step else 0
        next_first = self._next(first)
        left = Signal(SIZE_BITS)  # words of the tile
        cols = Signal(SIZE_BITS)  # columns of the strip
        end_strip = Signal()
        fits = Signal()
        fetch = Signal()
        end_tile = Signal()
        release = Signal()
        there = Signal()
        wanted = Signal()
        shift = self.config.burst.bit_length() - 1
        m.d.comb += [
            there.eq(
                Mux(bank, complete[1], complete[0]) | ((word >> shift) < Mux(bank, blocks[1], blocks[0]))
            ),
            released.eq(Cat(release & ~bank, release & bank)),
            fits.eq(self._words(0) <= self.depth),
            end_strip.eq(cols <= self.config.array.cols),
            fetch.eq(wanted & there),
            end_tile.eq(left == 1),
            release.eq(fetch & Mux(end_tile, ~fits | end_strip, word == self.depth - 1)),
        ]
        with m.If(fetch):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1)]
            with m.If(end_tile):
                m.d.sync += [word.eq(0), left.eq(self._words(first)), cols.eq(cols - self.config.array.cols)]
                with m.If(end_strip):
                    m.d.sync += [left.eq(self._words(next_first)), cols.eq(self.cols)]
                    if self.step:
                        m.d.sync += first.eq(next_first)
        with m.If(release):
            m.d.sync += [bank.eq(~bank), word.eq(0)]

        # The word that is read, and the element of it.
        have = Signal()
        place = Signal(range(self.per_word))
        elements = Signal(SIZE_BITS)  # of the tile
        begins = Signal(init=1)  # the next word is a tile's first
        take = Signal()
        end_word = Signal()
        m.d.comb += [
            take.eq(have & self.out.ready),
            self.last.eq(elements == 1),
            end_word.eq(self.last | (place == self.per_word - 1)),
            wanted.eq(~have | (take & end_word)),
            self.out.valid.eq(have),
            self.starved.eq(wanted & ~there),
        ]
        with m.If(take):
            m.d.sync += [place.eq(place + 1), elements.eq(Mux(self.last, self.count, elements - 1))]
        with m.If(wanted):
            m.d.sync += have.eq(there)
        with m.If(fetch):
            m.d.sync += [place.eq(Mux(begins, first, 0)), begins.eq(end_tile)]
        words = []
        for row in range(self.rows):
            ram = place_ram(
                m, f"ram{row}", 2 * self.depth, self.config.data_bits, self.modules, self.config.name
            )
            m.d.comb += [
                ram.write.eq(self.load & (self.tag.row == row)),
                ram.write_address.eq(self._address(self.tag.bank, (self.tag.word + self.index)[:place_bits])),
                ram.write_data.eq(self.data),
                ram.read.eq(fetch),
                ram.read_address.eq(self._address(bank, word)),
            ]
            words.append(self._element(m, ram.read_data, place))
        m.d.comb += self.out.payload.eq(Cat(words))
        with m.If(self.start):
            m.d.sync += [
                left.eq(self._words(0)),
                cols.eq(self.cols),
                word.eq(0),
                elements.eq(self.count),
                begins.eq(1),
                have.eq(0),
            ]
            if self.step:
                m.d.sync += first.eq(0)
        return m

    def _element(self, m: Module, word: Value, place: Signal) -> Signal:
        """Returns the element of a `word` at `place`."""
        element = Signal(self.width)
        with m.Switch(place):
            for index in range(self.per_word):
                with m.Case(index):
                    m.d.comb += element.eq(word[index * self.width : (index + 1) * self.width])
        return element

    def _words(self, first: Value | int) -> Value:
        """Returns the words of a tile that begins with element `first` of a word."""
        return (self.count + first + (self.per_word - 1)) >> (self.per_word.bit_length() - 1)

    def _next(self, first: Value | int) -> Value | int:
        """Returns where the next strip's tiles begin; `per_word` is a power of two."""
        return Value.cast(first + self.step)[: self.per_word.bit_length() - 1] if self.step else 0

    def _address(self, bank: Value, word: Value) -> Value:
        """Returns the place of a bank's word in the memories: bank 1 lies above bank 0."""
        if self.depth & (self.depth - 1) == 0:
            return Cat(word[: self.depth.bit_length() - 1], bank)
        return word + Mux(bank, self.depth, 0)
