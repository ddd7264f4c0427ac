"""AXI4-Lite (AMBA AXI and ACE Protocol Specification, IHI 0022E, part B): the slave's port."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from ...spec.registers import ADDRESS_BITS, WORD_BITS
from ..ports import Component, PortGroup, prefixed
from .axi import OKAY, SLVERR

STROBES = WORD_BITS // 8
_BYTE_BITS = (STROBES - 1).bit_length()
INDEX_BITS = ADDRESS_BITS - _BYTE_BITS

SLAVE = "s_axil_"
"""What the names of a slave's ports begin with."""

_FLOW = wiring.Signature({"valid": In(1), "ready": Out(1)})


class LiteSlave(wiring.Signature):
    """Declares the ports of an AXI4-Lite slave, as the slave does: `awaddr` and so on."""

    def __init__(self):
        super().__init__(
            {
                "awaddr": In(ADDRESS_BITS),
                "awprot": In(3),
                "awvalid": In(1),
                "awready": Out(1),
                "wdata": In(WORD_BITS),
                "wstrb": In(STROBES),
                "wvalid": In(1),
                "wready": Out(1),
                "bresp": Out(2),
                "bvalid": Out(1),
                "bready": In(1),
                "araddr": In(ADDRESS_BITS),
                "arprot": In(3),
                "arvalid": In(1),
                "arready": Out(1),
                "rdata": Out(WORD_BITS),
                "rresp": Out(2),
                "rvalid": Out(1),
                "rready": In(1),
            }
        )


def axil_members() -> dict[str, Member]:
    """Returns the ports of a `LiteSlave` as members of a component: `s_axil_awaddr` and so on."""
    return prefixed(SLAVE, LiteSlave().members)


class AxiLiteSlave(Component):
    """Turns AXI4-Lite transactions into accesses of one cycle.

    Address and data of a write may come in any order and at any distance, and answers stay until they are
    taken. One write and one read are under way at a time. The next address (and data) may come meanwhile, so
    that there is an access every other cycle, unless `write_wait` holds one up. No output of the bus depends
    on an input of it within the cycle. The two low bits of an address, and `awprot` and `arprot`, change
    nothing.

    Ports
    -----
    s_axil_*: the bus (`LiteSlave`).
    write_offered: out, 1: a write is there, with all that follows, and is done unless `write_wait` is high.
    write_wait: in, 1: the write waits.
    write: out, 1: this cycle writes.
    write_index: out, `INDEX_BITS`: the word that is written.
    write_data: out, `WORD_BITS`: what is written.
    write_strobes: out, `STROBES`: the bytes of the word that are written, bit 0 for the lowest.
    write_error: in, 1, in the cycle of `write`: the answer is SLVERR, else OKAY.
    read: out, 1: this cycle reads.
    read_index: out, `INDEX_BITS`: the word that is read.
    read_data: in, `WORD_BITS`, in the cycle of `read`: what the word holds.
    read_error: in, 1, in the cycle of `read`: the answer is SLVERR, else OKAY.
    """

    def __init__(self):
        super().__init__(
            {
                **axil_members(),
                "write_offered": Out(1),
                "write_wait": In(1),
                "write": Out(1),
                "write_index": Out(INDEX_BITS),
                "write_data": Out(WORD_BITS),
                "write_strobes": Out(STROBES),
                "write_error": In(1),
                "read": Out(1),
                "read_index": Out(INDEX_BITS),
                "read_data": In(WORD_BITS),
                "read_error": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._writes(m)
        self._reads(m)
        return m

    def _writes(self, m: Module) -> None:
        address, data = self.s_axil_awaddr[_BYTE_BITS:], Cat(self.s_axil_wdata, self.s_axil_wstrb)
        written = Cat(self.write_data, self.write_strobes)
        addressed = _keep(m, "aw", self._channel("aw"), address, self.write_index, self.write)
        has_data = _keep(m, "w", self._channel("w"), data, written, self.write)
        m.d.comb += [
            self.write_offered.eq(addressed & has_data & ~self.s_axil_bvalid),
            self.write.eq(self.write_offered & ~self.write_wait),
        ]
        _answer(m, self._channel("b"), self.write, self.s_axil_bresp, self.write_error)

    def _reads(self, m: Module) -> None:
        address = self.s_axil_araddr[_BYTE_BITS:]
        addressed = _keep(m, "ar", self._channel("ar"), address, self.read_index, self.read)
        m.d.comb += self.read.eq(addressed & ~self.s_axil_rvalid)
        _answer(m, self._channel("r"), self.read, self.s_axil_rresp, self.read_error)
        with m.If(self.read):
            m.d.sync += self.s_axil_rdata.eq(self.read_data)

    def _channel(self, name: str) -> PortGroup:
        """Returns `valid` and `ready` of the channel of that name."""
        return PortGroup(self, f"{SLAVE}{name}", _FLOW)


def _keep(m: Module, name: str, channel: PortGroup, payload: Value, shown: Value, taken: Value) -> Signal:
    """Keeps what comes on a channel in `shown` until `taken`; returns whether it holds something.

    The channel takes no more meanwhile: its `ready` comes from a register.
    """
    full = Signal(name=f"{name}_full")
    kept = Signal(len(payload), name=f"{name}_kept", reset_less=True)
    m.d.comb += [channel.ready.eq(~full), shown.eq(kept)]
    with m.If(channel.valid & ~full):
        m.d.sync += [kept.eq(payload), full.eq(1)]
    with m.If(taken):
        m.d.sync += full.eq(0)
    return full


def _answer(m: Module, channel: PortGroup, access: Value, response: Value, error: Value) -> None:
    """Answers an `access`, which only happens while no answer waits, on a channel from the next cycle on."""
    with m.If(access):
        m.d.sync += [channel.valid.eq(1), response.eq(Mux(error, SLVERR, OKAY))]
    with m.Elif(channel.ready):
        m.d.sync += channel.valid.eq(0)
