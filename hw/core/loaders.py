"""What walks operands in memory, and asks the reader for bursts."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec import layout
from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from .reader import Burst


def _words_to(config: CoreConfig, address: Value, left: Value) -> Value:
    """Words of the burst from `address` on: up to `left`, or to the next multiple of a burst."""
    place = address[: config.burst_index_bits] if config.burst > 1 else 0
    room = config.burst - place
    return Mux(left < room, left, room)


def _offer(m: Module, request, ask: Signal, **burst) -> None:
    """Registers: `ask` puts `burst` on the stream `request`, where it stays until it is taken."""
    with m.If(request.ready):
        m.d.sync += request.valid.eq(0)
    with m.If(ask):
        m.d.sync += [request.valid.eq(1), *(request.payload[name].eq(value) for name, value in burst.items())]


class TileLoader(wiring.Component):
    """Reads column tiles, one after another, once for every strip of rows: weights or scales.

    `start` (a pulse) with the plan, which stays: `address` (in words), `words` of a tile, `cols`: N, `rows`:
    M. `room`: there is room for a burst; `reserve`: pulse, `more` + 1 words of it are taken, for the next
    `request` (stream of `Burst`, without tag).
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
        tile, address = Signal.like(self.address), Signal.like(self.address)
        left = Signal(self.words_bits)
        cols, rows = Signal(SIZE_BITS), Signal(SIZE_BITS)
        words = Signal(range(config.burst + 1))
        next_tile = Signal.like(self.address)
        active, ask = Signal(), Signal()
        m.d.comb += [
            stride.eq((self.words + (per_line - 1)) & ~(per_line - 1)),
            words.eq(_words_to(config, address, left)),
            ask.eq(active & self.room & (~self.request.valid | self.request.ready)),
            *(self.reserve.eq(ask), self.more.eq(words - 1)),
            next_tile.eq(Mux(cols > array.cols, tile + stride, self.address)),
        ]
        _offer(m, self.request, ask, address=address, more=self.more)
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
                *(tile.eq(self.address), address.eq(self.address), left.eq(self.words)),
                *(cols.eq(self.cols), rows.eq(self.rows)),
            ]
        return m


class BankTag(data.StructLayout):
    """Where a burst's words go: `row`, `bank`, first `word`. `end_block`: it is the last of a block of all
    rows, which may then be used; `end_chunk`: and of all that the bank gets."""

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


class ActLoader(wiring.Component):
    """Reads strips of activations: blocks of a burst, each for all rows of the strip, into banks in turn.

    `start` (a pulse) with the plan, which stays: `address` (in words), `stride` (of rows, in words), `words`
    of a row, `cols`: N, `rows`: M. If a row fits in a bank a strip is read once, else once for each of its
    column tiles, in chunks of a bank.

    `free`: the bank whose turn it is may be filled; `claim`: pulse, it will be. `request`: stream of `Burst`
    with a `BankTag`.
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
        tag = Signal(self.request.payload.shape()["tag"].shape)
        active, ask = Signal(), Signal()
        strip, row_address = Signal.like(self.address), Signal.like(self.address)
        rows, row = Signal(SIZE_BITS), Signal(range(array.rows))
        cols = Signal(SIZE_BITS)
        block, word = Signal(SIZE_BITS), Signal(SIZE_BITS)  # first word of the block, and of the burst
        left = Signal(range(config.burst + 1))  # words of the row's block
        bank, claimed = Signal(), Signal()

        address, words = Signal.like(self.address), Signal(range(config.burst + 1))
        block_words, next_block = Signal.like(left), Signal(SIZE_BITS + 1)
        end_row, end_block, end_chunk, end_pass = Signal(), Signal(), Signal(), Signal()
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
            ask.eq(active & claimed & (~self.request.valid | self.request.ready)),
            tag.row.eq(row),
            tag.bank.eq(bank),
            tag.word.eq(word),
            tag.end_block.eq(end_block),
            tag.end_chunk.eq(end_chunk),
            self.claim.eq(active & ~claimed & self.free),
        ]
        with m.If(self.claim):
            m.d.sync += claimed.eq(1)
        _offer(m, self.request, ask, address=address, more=words - 1, tag=tag)
        with m.If(ask):
            m.d.sync += [word.eq(word + words), left.eq(left - words)]
            with m.If(end_row):
                m.d.sync += [
                    *(row.eq(row + 1), row_address.eq(row_address + self.stride)),
                    *(word.eq(block), left.eq(block_words)),
                ]
            with m.If(end_block):
                m.d.sync += [
                    *(row.eq(0), row_address.eq(strip)),
                    *(
                        block.eq(next_block),
                        word.eq(next_block),
                        left.eq(self._block(self.words, next_block)),
                    ),
                ]
            with m.If(end_chunk):
                m.d.sync += [claimed.eq(0), bank.eq(~bank)]
            with m.If(end_pass):
                m.d.sync += [block.eq(0), word.eq(0), left.eq(self._block(self.words, 0))]
                with m.If((cols > array.cols) & (self.words > depth)):
                    m.d.sync += cols.eq(cols - array.cols)
                with m.Else():
                    m.d.sync += [
                        *(cols.eq(self.cols), rows.eq(rows - array.rows)),
                        *(strip.eq(row_address + self.stride), row_address.eq(row_address + self.stride)),
                    ]
                    with m.If(rows <= array.rows):
                        m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                *(active.eq(1), claimed.eq(0), row.eq(0)),
                *(strip.eq(self.address), row_address.eq(self.address)),
                *(rows.eq(self.rows), cols.eq(self.cols)),
                *(block.eq(0), word.eq(0), left.eq(self._block(self.words, 0))),
            ]
        return m

    def _block(self, words: Value, block) -> Value:
        """Words of a row's block that begins at `block`."""
        rest = (words - block)[:SIZE_BITS]
        return Mux(rest > self.config.burst, self.config.burst, rest)


class TokenLoader(wiring.Component):
    """Reads the token scales of each strip into banks in turn.

    `start` (a pulse) with the plan, which stays: `address` (in words), `rows`: M. `free`, `claim`, `request`:
    as of `ActLoader`, for a single row. The first word may begin with scales of the strip before.
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
        tag = Signal(self.request.payload.shape()["tag"].shape)
        active, ask = Signal(), Signal()
        left_rows, first = Signal(SIZE_BITS), Signal(SIZE_BITS + shift)  # rows before this strip
        bank, claimed = Signal(), Signal()
        valid = Signal(range(rows + 1))
        total = Signal(range(config.token_words + 1))  # words of the strip
        done = Signal.like(total)  # of them asked for
        address, left = Signal.like(self.address), Signal.like(total)
        words = Signal(range(config.burst + 1))
        end = Signal()
        m.d.comb += [
            valid.eq(Mux(left_rows > rows, rows, left_rows)),
            total.eq(((first[:shift] if shift else 0) + valid + (per_word - 1)) >> shift),
            address.eq(self.address + (first >> shift) + done),
            left.eq(total - done),
            words.eq(_words_to(config, address, left)),
            end.eq(left == words),
            ask.eq(active & claimed & (~self.request.valid | self.request.ready)),
            tag.bank.eq(bank),
            tag.word.eq(done),
            tag.end_block.eq(end),
            tag.end_chunk.eq(end),
            self.claim.eq(active & ~claimed & self.free),
        ]
        with m.If(self.claim):
            m.d.sync += claimed.eq(1)
        _offer(m, self.request, ask, address=address, more=words - 1, tag=tag)
        with m.If(ask):
            m.d.sync += done.eq(done + words)
            with m.If(end):
                m.d.sync += [
                    *(done.eq(0), claimed.eq(0), bank.eq(~bank)),
                    *(first.eq(first + rows), left_rows.eq(left_rows - rows)),
                ]
                with m.If(left_rows <= rows):
                    m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                *(active.eq(1), claimed.eq(0), done.eq(0)),
                *(first.eq(0), left_rows.eq(self.rows)),
            ]
        return m
