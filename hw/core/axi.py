"""Ports on an AXI4 bus (AMBA AXI and ACE Protocol Specification, IHI 0022)."""

from collections.abc import Mapping

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Member, Out

from ...spec.core import CoreConfig

INCR = 1
"""Burst type: each word follows the one before."""

_CACHE = 0b0011  # normal memory, not cacheable, bufferable
_LENGTH_BITS = 8


def _address_channel(config: CoreConfig, prefix: str) -> dict[str, Member]:
    return {
        f"{prefix}id": Out(1),
        f"{prefix}addr": Out(config.address_bits),
        f"{prefix}len": Out(_LENGTH_BITS),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def read_members(config: CoreConfig) -> dict[str, Member]:
    """The channels AR and R."""
    return _address_channel(config, "m_axi_ar") | {
        "m_axi_rid": In(1),
        "m_axi_rdata": In(config.data_bits),
        "m_axi_rresp": In(2),
        "m_axi_rlast": In(1),
        "m_axi_rvalid": In(1),
        "m_axi_rready": Out(1),
    }


def write_members(config: CoreConfig) -> dict[str, Member]:
    """The channels AW, W and B."""
    return _address_channel(config, "m_axi_aw") | {
        "m_axi_wdata": Out(config.data_bits),
        "m_axi_wstrb": Out(config.word_bytes),
        "m_axi_wlast": Out(1),
        "m_axi_wvalid": Out(1),
        "m_axi_wready": In(1),
        "m_axi_bid": In(1),
        "m_axi_bresp": In(2),
        "m_axi_bvalid": In(1),
        "m_axi_bready": Out(1),
    }


def drive_constants(m: Module, config: CoreConfig, component, prefix: str) -> None:
    """What never changes of an address channel: bursts of whole words, one ID, ordinary memory."""
    m.d.comb += [
        getattr(component, f"{prefix}id").eq(0),
        getattr(component, f"{prefix}size").eq((config.word_bytes - 1).bit_length()),
        getattr(component, f"{prefix}burst").eq(INCR),
        getattr(component, f"{prefix}lock").eq(0),
        getattr(component, f"{prefix}cache").eq(_CACHE),
        getattr(component, f"{prefix}prot").eq(0),
    ]


def lead_out(m: Module, outer, inner, members: Mapping[str, Member]) -> None:
    """Connects the ports `members` of `inner` with those of `outer` of the same names."""
    for name, member in members.items():
        inside, outside = getattr(inner, name), getattr(outer, name)
        m.d.comb += outside.eq(inside) if member.flow == Out else inside.eq(outside)
