"""The read master: bursts for several clients over one AXI4 read port."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ...spec.core import CoreConfig
from ...spec.registers import CODE_BITS, Error
from ..ports import Component, PortGroup, prefixed
from ..streams import is_free, offer
from .axi import MASTER, SLVERR, AddressChannel, drive_constants, read_members


class Burst(data.StructLayout):
    """Asks for a burst, which must not cross a multiple of `CoreConfig.burst` words.

    So it crosses no multiple of 4096 bytes either, as AXI demands.

    Members
    -------
    address: the first word's address, in words.
    more: the number of words, less one.
    tag: what comes back with the words; without a layout it has no bits.
    """

    def __init__(self, config: CoreConfig, tag: data.Layout | None):
        super().__init__(
            {
                "address": config.word_address_bits,
                "more": config.burst_index_bits,
                "tag": 0 if tag is None else tag,
            }
        )


class ReadClient(wiring.Signature):
    """Declares the ports of one of a `Reader`'s clients, as the client does.

    A client has room for a burst before it asks for one, as nothing holds up the words that come back.

    Members
    -------
    request: stream of `Burst`, out.
    urgent: out, 1: the request goes before those of clients that are not urgent.
    load: in, 1: `Reader.data` is a word of this client.
    tag: in, in the cycle of `load`: the tag of the burst; only there if `tag` is a layout.
    """

    def __init__(self, config: CoreConfig, tag: data.Layout | None):
        members = {
            "request": Out(stream.Signature(Burst(config, tag))),
            "urgent": Out(1),
            "load": In(1),
        }
        if tag is not None:
            members["tag"] = In(tag)
        super().__init__(members)


class Reader(Component):
    """Serves bursts of several clients, in the order in which it takes their requests.

    Among clients that ask, those with `urgent` high go first, then the order of `clients` counts. A request
    that is taken in cycle t is on the bus from cycle t + 1 on. Words go to their client in the cycle in which
    they come: `m_axi_rready` is high whenever a burst is under way. Bursts under way are
    `CoreConfig.outstanding` at most.

    `clients`: the layout of each client's tag (None: it has none), by the client's name.

    Ports
    -----
    m_axi_*: the bus (`ReadMaster`).
    <name>_*: the ports of the client of that name (`ReadClient`, flipped).
    data: out, `CoreConfig.data_bits`: the word that comes.
    index: out, `CoreConfig.burst_index_bits`: the word's place in its burst.
    end: out, 1: the word is its burst's last.
    hold: in, 1: no more requests are taken.
    quiet: out, 1: no burst is under way.
    count_words: out, 1: a word comes in this cycle.
    failed: out, 1: the word that comes is answered with an error.
    error: out, `CODE_BITS`, in the cycle of `failed`: which (`Error`).
    """

    def __init__(self, config: CoreConfig, clients: Mapping[str, data.Layout | None]):
        self.config = config
        self.clients = {name: ReadClient(config, tag) for name, tag in clients.items()}
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
        for name, client in self.clients.items():
            members |= prefixed(f"{name}_", client.flip().members)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        clients = [PortGroup(self, f"{name}_", client.flip()) for name, client in self.clients.items()]
        tags = [Value.cast(client.request.payload.tag) for client in clients]
        tag_bits = max(len(tag) for tag in tags)
        client_bits = max(1, (len(clients) - 1).bit_length())
        m.submodules.order = order = SyncFIFO(width=client_bits + tag_bits, depth=config.outstanding)

        # One client's burst goes to the address register, and its name and tag in line.
        bus = PortGroup(self, f"{MASTER}ar", AddressChannel(config))
        free = Signal()
        go = Signal()
        m.d.comb += free.eq(is_free(bus) & order.w_rdy & ~self.hold)
        chosen = Signal(client_bits)
        for urgent in (False, True):
            for index, client in reversed(list(enumerate(clients))):
                asks = client.request.valid
                with m.If(asks & client.urgent if urgent else asks):
                    m.d.comb += [chosen.eq(index), go.eq(free)]
        address = Signal(config.word_address_bits)
        more = Signal.like(self.index)
        tag = Signal(tag_bits)
        with m.Switch(chosen):
            for index, client in enumerate(clients):
                with m.Case(index):
                    m.d.comb += [
                        client.request.ready.eq(go),
                        address.eq(client.request.payload.address),
                        more.eq(client.request.payload.more),
                        tag.eq(tags[index]),
                    ]
        m.d.comb += [order.w_en.eq(go), order.w_data.eq(Cat(chosen, tag))]
        drive_constants(m, config, bus)
        offer(m, bus, go, [bus.addr.eq(address << config.word_index_bits), bus.len.eq(more)])

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
        for index, client in enumerate(clients):
            m.d.comb += client.load.eq(came & (order.r_data[:client_bits] == index))
            if "tag" in client.signature.members:
                m.d.comb += Value.cast(client.tag).eq(order.r_data[client_bits:])
        return m
