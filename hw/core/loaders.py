"""Loaders: they walk operands in memory, and ask the reader for bursts."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ...spec import layout
from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from ..ports import Component
from ..streams import is_free, offer
from .reader import Burst


def _words_to(config: CoreConfig, address: Value, left: Value) -> Value:
    """Returns the words of the burst from `address` on: `left`, or up to the next multiple of a burst."""
    place = address[: config.burst_index_bits] if config.burst > 1 else 0
    room = config.burst - place
    return Mux(left < room, left, room)


class TileLoader(Component):
    """Asks for column tiles of weights or scales, one after another, once for every strip of rows.

    A tile begins at a multiple of `mixpe.spec.layout.ALIGNMENT`. A burst is asked for in every cycle in which
    there is room, and its request is offered from the next cycle on. `words_bits`: the width of the port
    `words`.

    Ports
    -----
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    address: in, `CoreConfig.word_address_bits`, plan: where the first tile begins, in words.
    words: in, `words_bits`, plan: words of a tile.
    cols: in, `SIZE_BITS`, plan: N.
    rows: in, `SIZE_BITS`, plan: M.
    room: in, 1: the buffer has room for a burst of any length.
    reserve: out, 1: a pulse; the words of a burst take their room.
    more: out, `CoreConfig.burst_index_bits`, in the cycle of `reserve`: how many words, less one.
    request: stream of `Burst`, without tag, out.
    """

    def __init__(self, config: CoreConfig, words_bits: int):
        self.config = config
        self.words_bits = words_bits
        super().__init__(
            {
                "start": In(1),
                "address": In(config.word_address_bits),
                "words": In(words_bits),
                "cols": In(SIZE_BITS),
                "rows": In(SIZE_BITS),
                "room": In(1),
                "reserve": Out(1),
                "more": Out(config.burst_index_bits),
                "request": Out(stream.Signature(Burst(config, None))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, array = self.config, self.config.array
        per_line = max(1, layout.ALIGNMENT // config.word_bytes)  # words; tiles begin at multiples
        stride = Signal(self.words_bits + 1)
        tile = Signal.like(self.address)
        address = Signal.like(self.address)
        left = Signal(self.words_bits)
        cols = Signal(SIZE_BITS)
        rows = Signal(SIZE_BITS)
        words = Signal(range(config.burst + 1))
        next_tile = Signal.like(self.address)
        active = Signal()
        ask = Signal()
        m.d.comb += [
            stride.eq((self.words + (per_line - 1)) & ~(per_line - 1)),
            words.eq(_words_to(config, address, left)),
            ask.eq(active & self.room & is_free(self.request)),
            self.reserve.eq(ask),
            self.more.eq(words - 1),
            next_tile.eq(Mux(cols > array.cols, tile + stride, self.address)),
        ]
        burst = self.request.payload
        offer(m, self.request, ask, [burst.address.eq(address), burst.more.eq(self.more)])
        with m.If(ask):
            m.d.sync += [address.eq(address + words), left.eq(left - words)]
            with m.If(left == words):
                m.d.sync += [tile.eq(next_tile), address.eq(next_tile), left.eq(self.words)]
                with m.If(cols > array.cols):
                    m.d.sync += cols.eq(cols - array.cols)
                with m.Else():
                    m.d.sync += [cols.eq(self.cols), rows.eq(rows - array.rows)]
                    with m.If(rows <= array.rows):
                        m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                active.eq(1),
                tile.eq(self.address),
                address.eq(self.address),
                left.eq(self.words),
                cols.eq(self.cols),
                rows.eq(self.rows),
            ]
        return m


class BankTag(data.StructLayout):
    """Tags a burst whose words go to banks: it says where.

    Members
    -------
    row: the row that the words belong to.
    bank: the bank that they go to.
    word: the place in the row's memory of the bank that the first of them goes to.
    end_block: the burst is the last of a block of all rows, which may be read from then on.
    end_chunk: it is the last of all that the bank gets.
    """

    def __init__(self, config: CoreConfig, rows: int, depth: int):
        super().__init__(
            {
                "row": max(1, (rows - 1).bit_length()),
                "bank": 1,
                "word": max(1, (depth - 1).bit_length()),
                "end_block": 1,
                "end_chunk": 1,
            }
        )


class ActLoader(Component):
    """Asks for strips of activations: blocks of a burst, each for all rows of the strip, into banks in turn.

    If a row fits in a bank, a strip is read once; else it is read once for each of its column tiles, in
    chunks of a bank. A burst is asked for in every cycle, and its request is offered from the next cycle on.

    Ports
    -----
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    address: in, `CoreConfig.word_address_bits`, plan: where the first row begins, in words.
    stride: in, `STRIDE_BITS`, plan: words from one row to the next.
    words: in, `SIZE_BITS`, plan: words of a row.
    cols: in, `SIZE_BITS`, plan: N.
    rows: in, `SIZE_BITS`, plan: M.
    free: in, 1: the bank whose turn it is may be filled.
    claim: out, 1: a pulse; it will be.
    request: stream of `Burst` with a `BankTag`, out.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        tag = BankTag(config, config.array.rows, config.act_words)
        super().__init__(
            {
                "start": In(1),
                "address": In(config.word_address_bits),
                "stride": In(STRIDE_BITS),
                "words": In(SIZE_BITS),
                "cols": In(SIZE_BITS),
                "rows": In(SIZE_BITS),
                "free": In(1),
                "claim": Out(1),
                "request": Out(stream.Signature(Burst(config, tag))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, array = self.config, self.config.array
        depth = config.act_words
        tag: Any = Signal(self.request.payload.shape()["tag"].shape)
        active = Signal()
        ask = Signal()
        strip = Signal.like(self.address)
        row_address = Signal.like(self.address)
        rows = Signal(SIZE_BITS)
        row = Signal(range(array.rows))
        cols = Signal(SIZE_BITS)
        block = Signal(SIZE_BITS)  # the block's first word
        word = Signal(SIZE_BITS)  # the burst's
        left = Signal(range(config.burst + 1))  # words of the row's block
        bank = Signal()
        claimed = Signal()

        address = Signal.like(self.address)
        words = Signal(range(config.burst + 1))
        block_words = Signal.like(left)
        next_block = Signal(SIZE_BITS + 1)
        end_row = Signal()
        end_block = Signal()
        end_chunk = Signal()
        end_pass = Signal()
        last_row = Signal()
        m.d.comb += [
            address.eq(row_address + word),
            words.eq(_words_to(config, address, left)),
            block_words.eq(self._block(self.words, block)),
            next_block.eq(block + config.burst),
            last_row.eq((row == array.rows - 1) | (rows == row + 1)),
            end_row.eq(left == words),
            end_block.eq(end_row & last_row),
            end_pass.eq(end_block & (next_block >= self.words)),
            end_chunk.eq(end_pass | (end_block & ~(next_block & (depth - 1)).any())),
            ask.eq(active & claimed & is_free(self.request)),
            tag.row.eq(row),
            tag.bank.eq(bank),
            tag.word.eq(word),
            tag.end_block.eq(end_block),
            tag.end_chunk.eq(end_chunk),
            self.claim.eq(active & ~claimed & self.free),
        ]
        with m.If(self.claim):
            m.d.sync += claimed.eq(1)
        burst = self.request.payload
        offer(m, self.request, ask, [burst.address.eq(address), burst.more.eq(words - 1), burst.tag.eq(tag)])
        with m.If(ask):
            m.d.sync += [word.eq(word + words), left.eq(left - words)]
            with m.If(end_row):
                m.d.sync += [
                    row.eq(row + 1),
                    row_address.eq(row_address + self.stride),
                    word.eq(block),
                    left.eq(block_words),
                ]
            with m.If(end_block):
                m.d.sync += [
                    row.eq(0),
                    row_address.eq(strip),
                    block.eq(next_block),
                    word.eq(next_block),
                    left.eq(self._block(self.words, next_block)),
                ]
            with m.If(end_chunk):
                m.d.sync += [claimed.eq(0), bank.eq(~bank)]
            with m.If(end_pass):
                m.d.sync += [block.eq(0), word.eq(0), left.eq(self._block(self.words, 0))]
                with m.If((cols > array.cols) & (self.words > depth)):
                    m.d.sync += cols.eq(cols - array.cols)
                with m.Else():
                    m.d.sync += [
                        cols.eq(self.cols),
                        rows.eq(rows - array.rows),
                        strip.eq(row_address + self.stride),
                        row_address.eq(row_address + self.stride),
                    ]
                    with m.If(rows <= array.rows):
                        m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                active.eq(1),
                claimed.eq(0),
                row.eq(0),
                strip.eq(self.address),
                row_address.eq(self.address),
                rows.eq(self.rows),
                cols.eq(self.cols),
                block.eq(0),
                word.eq(0),
                left.eq(self._block(self.words, 0)),
            ]
        return m

    def _block(self, words: Value, block: Value | int) -> Value:
        """Returns how many words of a row are in the block that begins at `block`."""
        rest = (words - block)[:SIZE_BITS]
        return Mux(rest > self.config.burst, self.config.burst, rest)


class TokenLoader(Component):
    """Asks for the token scales of each strip, into banks in turn.

    A strip's first word may begin with scales of the strip before. A burst is asked for in every cycle, and
    its request is offered from the next cycle on.

    Ports
    -----
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    address: in, `CoreConfig.word_address_bits`, plan: where the first scale lies, in words.
    rows: in, `SIZE_BITS`, plan: M.
    free: in, 1: the bank whose turn it is may be filled.
    claim: out, 1: a pulse; it will be.
    request: stream of `Burst` with a `BankTag` of one row, out.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "address": In(config.word_address_bits),
                "rows": In(SIZE_BITS),
                "free": In(1),
                "claim": Out(1),
                "request": Out(stream.Signature(Burst(config, BankTag(config, 1, config.token_words)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        rows, per_word = config.array.rows, config.tokens_per_word
        shift = per_word.bit_length() - 1
        tag: Any = Signal(self.request.payload.shape()["tag"].shape)
        active = Signal()
        ask = Signal()
        left_rows = Signal(SIZE_BITS)
        first = Signal(SIZE_BITS + shift)  # rows before this strip
        bank = Signal()
        claimed = Signal()
        valid = Signal(range(rows + 1))
        total = Signal(range(config.token_words + 1))  # words of the strip
        done = Signal.like(total)  # of them asked for
        address = Signal.like(self.address)
        left = Signal.like(total)
        words = Signal(range(config.burst + 1))
        end = Signal()
        m.d.comb += [
            valid.eq(Mux(left_rows > rows, rows, left_rows)),
            total.eq(((first[:shift] if shift else 0) + valid + (per_word - 1)) >> shift),
            address.eq(self.address + (first >> shift) + done),
            left.eq(total - done),
            words.eq(_words_to(config, address, left)),
            end.eq(left == words),
            ask.eq(active & claimed & is_free(self.request)),
            tag.bank.eq(bank),
            tag.word.eq(done),
            tag.end_block.eq(end),
            tag.end_chunk.eq(end),
            self.claim.eq(active & ~claimed & self.free),
        ]
        with m.If(self.claim):
            m.d.sync += claimed.eq(1)
        burst = self.request.payload
        offer(m, self.request, ask, [burst.address.eq(address), burst.more.eq(words - 1), burst.tag.eq(tag)])
        with m.If(ask):
            m.d.sync += done.eq(done + words)
            with m.If(end):
                m.d.sync += [
                    done.eq(0),
                    claimed.eq(0),
                    bank.eq(~bank),
                    first.eq(first + rows),
                    left_rows.eq(left_rows - rows),
                ]
                with m.If(left_rows <= rows):
                    m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                active.eq(1),
                claimed.eq(0),
                done.eq(0),
                first.eq(0),
                left_rows.eq(self.rows),
            ]
        return m
