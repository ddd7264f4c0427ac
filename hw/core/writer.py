"""The write master: rows of results to memory."""

from collections.abc import Sequence
from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from ...spec.registers import CODE_BITS, Error
from ..array.beats import Beat
from ..ports import Component, PortGroup
from ..streams import is_free, offer
from .axi import MASTER, SLVERR, AddressChannel, drive_constants, write_members

_BOUNDARY = 4096
"""Bytes: no burst may cross a multiple."""


class Writer(Component):
    """Writes the valid part of every tile's rows, row after row, tile after tile.

    Rows beyond M are dropped, and columns beyond N are not written. A row is taken, at the earliest, in the
    cycle in which the last word of the row before is; its own address and first word are offered from the
    next cycle on. Bursts without an answer are `CoreConfig.outstanding` at most.

    Ports
    -----
    m_axi_*: the bus (`WriteMaster`).
    start: in, 1: a pulse; the plan is there, and stays until the product is done.
    address: in, `CoreConfig.address_bits`, plan: where the first row goes, in bytes.
    stride: in, `STRIDE_BITS`, plan: bytes from one row to the next.
    rows: in, `SIZE_BITS`, plan: M.
    cols: in, `SIZE_BITS`, plan: N.
    results: stream of the array's beats `out`, in: all rows of every tile.
    active: out, 1: rows are still to come, or answers to what was written.
    hold: in, 1: no more rows are taken.
    quiet: out, 1: nothing is on the bus, and no answer is awaited.
    count_bytes: out, up to `CoreConfig.word_bytes`: bytes written in this cycle.
    failed: out, 1: the answer that comes in this cycle is an error.
    error: out, `CODE_BITS`, in the cycle of `failed`: which (`Error`).
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        self._free = Signal()  # a row may be taken, as far as the walk goes
        super().__init__(
            write_members(config)
            | {
                "start": In(1),
                "address": In(config.address_bits),
                "stride": In(STRIDE_BITS),
                "rows": In(SIZE_BITS),
                "cols": In(SIZE_BITS),
                "results": In(stream.Signature(Beat(config.array, "out"))),
                "active": Out(1),
                "hold": In(1),
                "quiet": Out(1),
                "count_bytes": Out(range(config.word_bytes + 1)),
                "failed": Out(1),
                "error": Out(CODE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        start, valid_cols, take = self._walk(m)
        self._write(m, start, valid_cols, take)
        return m

    def _walk(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Follows the product row by row, and finds out where the row that is offered goes.

        Returns its address, its columns (0: it is dropped), and whether it is taken.
        """
        config, array = self.config, self.config.array
        tile_bytes = array.cols * array.out.bits // 8
        rows = Signal(SIZE_BITS)  # left
        cols = Signal(SIZE_BITS)  # left
        row = Signal(range(array.rows))  # of the tile
        tile, address, saved_strip, next_strip, below = (
            Signal(config.address_bits, name=name)
            for name in ("tile", "address", "saved_strip", "next_strip", "below")
        )
        coming = Signal()
        take = Signal()
        first_tile = Signal()
        last_tile = Signal()
        valid_cols = Signal(range(array.cols + 1))
        m.d.comb += [
            take.eq(self.results.valid & self.results.ready),
            last_tile.eq(cols <= array.cols),
            valid_cols.eq(Mux(row < rows, Mux(last_tile, cols, array.cols), 0)),
            below.eq(address + self.stride),
            next_strip.eq(Mux(first_tile, below, saved_strip)),
            self.active.eq(coming | ~self.quiet),
        ]
        with m.If(take):
            m.d.sync += [row.eq(row + 1), address.eq(below)]
            with m.If(self.results.payload.last):
                m.d.sync += [
                    row.eq(0),
                    tile.eq(tile + tile_bytes),
                    address.eq(tile + tile_bytes),
                    first_tile.eq(0),
                    saved_strip.eq(next_strip),
                    cols.eq(cols - array.cols),
                ]
                with m.If(last_tile):
                    m.d.sync += [
                        tile.eq(next_strip),
                        address.eq(next_strip),
                        first_tile.eq(1),
                        cols.eq(self.cols),
                        rows.eq(rows - array.rows),
                        coming.eq(rows > array.rows),
                    ]
        with m.If(self.start):
            m.d.sync += [
                coming.eq(1),
                first_tile.eq(1),
                row.eq(0),
                rows.eq(self.rows),
                cols.eq(self.cols),
                tile.eq(self.address),
                address.eq(self.address),
            ]
        m.d.comb += self._free.eq(coming & ~self.hold)
        return address, valid_cols, take

    def _write(self, m: Module, start: Signal, valid_cols: Signal, take: Signal) -> None:
        """Makes bursts of the row that is taken: one, or two where it crosses a boundary."""
        config, array = self.config, self.config.array
        code_bytes, word = array.out.bits // 8, config.word_bytes
        tile_bytes, shift = array.cols * code_bytes, config.word_index_bits
        unit = gcd(tile_bytes, word)  # rows begin at multiples of it
        most = (word - unit + tile_bytes - 1) // word + 1  # words of a row

        # What a row becomes: words, shifted to its place in the first, and the bytes of them that count.
        offset, words = start[:shift], Signal(range(most + 1))
        to_boundary = (_BOUNDARY // word) - start[shift : (_BOUNDARY - 1).bit_length()]
        counts = Cat((valid_cols > col).replicate(code_bytes) for col in range(array.cols))
        codes = Signal(8 * most * word)
        strobes = Signal(most * word)
        with m.Switch(offset):
            for place in range(0, word, unit):
                with m.Case(place):
                    m.d.comb += [
                        codes.eq(self.results.payload.y.as_value() << 8 * place),
                        strobes.eq(counts << place),
                    ]
        m.d.comb += words.eq((offset + valid_cols * code_bytes + (word - 1)) >> shift)

        # Address and data of a burst are offered together; the next burst follows when both are taken.
        store = Signal.like(codes)
        enables = Signal.like(strobes)
        left = Signal(range(most + 1))  # words of the burst
        rest = Signal(range(most + 1))  # words behind it
        rest_page = Signal(config.address_bits - (_BOUNDARY - 1).bit_length())
        waiting = Signal(range(config.outstanding + 1))  # bursts without an answer
        sends = Signal()
        free = Signal()
        begin = Signal()
        bus = PortGroup(self, f"{MASTER}aw", AddressChannel(config))
        m.d.comb += [
            self.m_axi_wvalid.eq(left.any()),
            self.m_axi_wdata.eq(store),
            self.m_axi_wstrb.eq(enables),
            self.m_axi_wlast.eq(left == 1),
            self.m_axi_bready.eq(1),
            sends.eq(self.m_axi_wvalid & self.m_axi_wready),
            free.eq(
                is_free(bus) & (~left.any() | (sends & self.m_axi_wlast)) & (waiting != config.outstanding)
            ),
            self.results.ready.eq(self._free & free & ~rest.any()),
            begin.eq(Mux(rest.any(), free, take & valid_cols.any())),
            self.quiet.eq(~self.m_axi_awvalid & ~left.any() & ~rest.any() & ~waiting.any()),
            self.failed.eq(self.m_axi_bvalid & (self.m_axi_bresp >= SLVERR)),
            self.error.eq(Mux(self.m_axi_bresp == SLVERR, Error.WRITE_SLAVE, Error.WRITE_DECODE)),
        ]
        drive_constants(m, config, bus)
        codes_sent = _count([enables[byte] for byte in range(0, word, code_bytes)])
        m.d.comb += self.count_bytes.eq(Mux(sends, codes_sent * code_bytes, 0))
        m.d.sync += waiting.eq(waiting + begin - self.m_axi_bvalid)
        offer(m, bus, begin)
        with m.If(sends):
            m.d.sync += [store.eq(store >> 8 * word), enables.eq(enables >> word), left.eq(left - 1)]
        with m.If(begin):
            with m.If(rest.any()):
                m.d.sync += [
                    bus.addr.eq(rest_page << (_BOUNDARY - 1).bit_length()),
                    bus.len.eq(rest - 1),
                    left.eq(rest),
                    rest.eq(0),
                ]
            with m.Else():
                first = Mux(words > to_boundary, to_boundary, words)
                m.d.sync += [
                    bus.addr.eq(Cat(Const(0, shift), start[shift:])),
                    bus.len.eq(first - 1),
                    left.eq(first),
                    rest.eq(words - first),
                    rest_page.eq(start[(_BOUNDARY - 1).bit_length() :] + 1),
                    store.eq(codes),
                    enables.eq(strobes),
                ]


def _count(bits: Sequence[Value]) -> Value:
    """Returns how many of `bits` are one: a tree of adders, as wide as need be."""
    if len(bits) == 1:
        return bits[0]
    half = len(bits) // 2
    return _count(bits[:half]) + _count(bits[half:])
