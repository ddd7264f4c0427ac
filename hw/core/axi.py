"""Ports on an AXI4 bus (AMBA AXI and ACE Protocol Specification, IHI 0022)."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from ...spec.core import CoreConfig
from ..ports import PortGroup, prefixed

INCR = 1
"""Burst type: each word follows the one before."""

OKAY, SLVERR = 0b00, 0b10
"""Responses. SLVERR is the lower of the two that are errors; the other is DECERR."""

MASTER = "m_axi_"
"""What the names of a master's ports begin with."""

_CACHE = 0b0011  # normal memory, not cacheable, bufferable
_LENGTH_BITS = 8


class AddressChannel(wiring.Signature):
    """Declares an address channel, AR or AW, as its master does."""

    def __init__(self, config: CoreConfig):
        super().__init__(
            {
                "id": Out(1),
                "addr": Out(config.address_bits),
                "len": Out(_LENGTH_BITS),
                "size": Out(3),
                "burst": Out(2),
                "lock": Out(1),
                "cache": Out(4),
                "prot": Out(3),
                "valid": Out(1),
                "ready": In(1),
            }
        )


class ReadMaster(wiring.Signature):
    """Declares the channels AR and R of a master: `araddr`, `rdata` and so on."""

    def __init__(self, config: CoreConfig):
        super().__init__(
            {
                **prefixed("ar", AddressChannel(config).members),
                "rid": In(1),
                "rdata": In(config.data_bits),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class WriteMaster(wiring.Signature):
    """Declares the channels AW, W and B of a master: `awaddr`, `wdata`, `bresp` and so on."""

    def __init__(self, config: CoreConfig):
        super().__init__(
            {
                **prefixed("aw", AddressChannel(config).members),
                "wdata": Out(config.data_bits),
                "wstrb": Out(config.word_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


def read_members(config: CoreConfig) -> dict[str, Member]:
    """Returns the ports of a `ReadMaster` as members of a component: `m_axi_araddr` and so on."""
    return prefixed(MASTER, ReadMaster(config).members)


def write_members(config: CoreConfig) -> dict[str, Member]:
    """Returns the ports of a `WriteMaster` as members of a component: `m_axi_awaddr` and so on."""
    return prefixed(MASTER, WriteMaster(config).members)


def drive_constants(m: Module, config: CoreConfig, channel: PortGroup) -> None:
    """Drives what never changes of an `AddressChannel`: bursts of whole words, one ID, ordinary memory."""
    m.d.comb += [
        channel.id.eq(0),
        channel.size.eq((config.word_bytes - 1).bit_length()),
        channel.burst.eq(INCR),
        channel.lock.eq(0),
        channel.cache.eq(_CACHE),
        channel.prot.eq(0),
    ]
