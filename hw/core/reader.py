"""The read master: bursts for several clients over one AXI4 read port."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ...spec.core import CoreConfig
from ...spec.registers import CODE_BITS, Error
from .axi import drive_constants, read_members

SLVERR = 2
"""The lower of the two responses that are errors."""


class Burst(data.StructLayout):
    """A request: the first word's address in words, words less one, and what comes back with the data.

    It must not cross a multiple of `CoreConfig.burst` words, and with that no multiple of 4096 bytes.
    """

    def __init__(self, config: CoreConfig, tag: data.Layout | None):
        super().__init__(
            {
                "address": config.word_address_bits,
                "more": config.burst_index_bits,
                "tag": 0 if tag is None else tag,
            }
        )


class Reader(wiring.Component):
    """Serves bursts of several clients, in the order in which it takes their requests.

    A client has room for a burst before it asks for it: data is never held up (`m_axi_rready` is high).
    Among clients that ask, those with `urgent` high go first, then the order of `clients` counts.

    `clients`: the layout of each client's tag, by name. Ports, besides the AXI4 read channels:

    - for each client `<name>_request` (stream of `Burst`), `<name>_urgent`; `<name>_load`: `data` is a word
      for it, `<name>_tag` its burst's tag, `index` its place in the burst, `end`: it is the burst's last.
    - `hold`: no more bursts; `quiet`: none under way. `count_words`: a word came.
    - `failed`: a word came with an error, `error` (`Error`).
    """

    def __init__(self, config: CoreConfig, clients: Mapping[str, data.Layout | None]):
        self.config = config
        self.clients = dict(clients)
        members = read_members(config) | {
            "data": Out(config.data_bits),
            "index": Out(config.burst_index_bits),
            "end": Out(1),
            "hold": In(1),
            "quiet": Out(1),
            "count_words": Out(1),
            "failed": Out(1),
            "error": Out(CODE_BITS),
        }
        for name, tag in self.clients.items():
            members[f"{name}_request"] = In(stream.Signature(Burst(config, tag)))
            members[f"{name}_urgent"] = In(1)
            members[f"{name}_load"] = Out(1)
            if tag:
                members[f"{name}_tag"] = Out(tag)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        names = list(self.clients)
        tags = {name: Value.cast(getattr(self, f"{name}_request").payload.tag) for name in names}
        tag_bits = max(len(tag) for tag in tags.values())
        client_bits = max(1, (len(names) - 1).bit_length())
        m.submodules.order = order = SyncFIFO(width=client_bits + tag_bits, depth=config.outstanding)

        # One client's burst goes to the address register, and its name and tag in line.
        free, go = Signal(), Signal()
        m.d.comb += free.eq((~self.m_axi_arvalid | self.m_axi_arready) & order.w_rdy & ~self.hold)
        chosen = Signal(client_bits)
        for urgent in (False, True):
            for index, name in reversed(list(enumerate(names))):
                asks = getattr(self, f"{name}_request").valid
                with m.If(asks & getattr(self, f"{name}_urgent") if urgent else asks):
                    m.d.comb += [chosen.eq(index), go.eq(free)]
        address = Signal(config.word_address_bits)
        more, tag = Signal.like(self.index), Signal(tag_bits)
        with m.Switch(chosen):
            for index, name in enumerate(names):
                with m.Case(index):
                    request = getattr(self, f"{name}_request")
                    m.d.comb += [
                        request.ready.eq(go),
                        address.eq(request.payload.address),
                        more.eq(request.payload.more),
                        tag.eq(tags[name]),
                    ]
        m.d.comb += [order.w_en.eq(go), order.w_data.eq(Cat(chosen, tag))]
        drive_constants(m, config, self, "m_axi_ar")
        with m.If(self.m_axi_arready):
            m.d.sync += self.m_axi_arvalid.eq(0)
        with m.If(go):
            m.d.sync += [
                self.m_axi_arvalid.eq(1),
                self.m_axi_araddr.eq(address << config.word_index_bits),
                self.m_axi_arlen.eq(more),
            ]

        came = Signal()
        m.d.comb += [
            self.m_axi_rready.eq(order.r_rdy),
            came.eq(self.m_axi_rvalid & self.m_axi_rready),
            order.r_en.eq(came & self.m_axi_rlast),
            self.data.eq(self.m_axi_rdata),
            self.end.eq(self.m_axi_rlast),
            self.quiet.eq(~order.r_rdy & ~self.m_axi_arvalid),
            self.count_words.eq(came),
            self.failed.eq(came & (self.m_axi_rresp >= SLVERR)),
            self.error.eq(Mux(self.m_axi_rresp == SLVERR, Error.READ_SLAVE, Error.READ_DECODE)),
        ]
        with m.If(came):
            m.d.sync += self.index.eq(Mux(self.m_axi_rlast, 0, self.index + 1))
        for index, name in enumerate(names):
            m.d.comb += getattr(self, f"{name}_load").eq(came & (order.r_data[:client_bits] == index))
            if self.clients[name]:
                m.d.comb += Value.cast(getattr(self, f"{name}_tag")).eq(order.r_data[client_bits:])
        return m
