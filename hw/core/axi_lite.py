"""AXI4-Lite (AMBA AXI and ACE Protocol Specification, IHI 0022E, part B): the slave's port."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from ...spec.registers import ADDRESS_BITS, WORD_BITS

OKAY, SLVERR = 0b00, 0b10

STROBES = WORD_BITS // 8
_BYTE_BITS = (STROBES - 1).bit_length()
INDEX_BITS = ADDRESS_BITS - _BYTE_BITS


def axil_members() -> dict[str, Member]:
    """The ports of an AXI4-Lite slave, by name, as members of a component: `s_axil_awaddr` and so on."""
    return {
        "s_axil_awaddr": In(ADDRESS_BITS),
        "s_axil_awprot": In(3),
        "s_axil_awvalid": In(1),
        "s_axil_awready": Out(1),
        "s_axil_wdata": In(WORD_BITS),
        "s_axil_wstrb": In(STROBES),
        "s_axil_wvalid": In(1),
        "s_axil_wready": Out(1),
        "s_axil_bresp": Out(2),
        "s_axil_bvalid": Out(1),
        "s_axil_bready": In(1),
        "s_axil_araddr": In(ADDRESS_BITS),
        "s_axil_arprot": In(3),
        "s_axil_arvalid": In(1),
        "s_axil_arready": Out(1),
        "s_axil_rdata": Out(WORD_BITS),
        "s_axil_rresp": Out(2),
        "s_axil_rvalid": Out(1),
        "s_axil_rready": In(1),
    }


class AxiLiteSlave(wiring.Component):
    """Turns AXI4-Lite transactions into one-cycle accesses.

    Ports `axil_members`: address and data of a write may come in any order and at any distance; answers stay
    until they are taken. One write and one read are under way at a time, and the next address (and data) may
    come meanwhile: an access every other cycle. No output of the port depends on an input within the cycle.
    The two low bits of an address, and `awprot` and `arprot`, change nothing.

    Inside, in words of `WORD_BITS`, each with its answer in the same cycle:

    - `write`: in this cycle `write_data` goes to word `write_index`, to those bytes whose `write_strobes` are
      high; `write_error` answers SLVERR.
    - `read`: in this cycle `read_data` is what word `read_index` holds; `read_error` answers SLVERR.
    """

    def __init__(self):
        super().__init__(
            {
                **axil_members(),
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

    def _writes(self, m):
        data = Cat(self.s_axil_wdata, self.s_axil_wstrb)
        addressed = self._held(m, "aw", self.s_axil_awaddr[_BYTE_BITS:], self.write_index, self.write)
        has_data = self._held(m, "w", data, Cat(self.write_data, self.write_strobes), self.write)
        m.d.comb += self.write.eq(addressed & has_data & ~self.s_axil_bvalid)
        self._answer(m, "b", self.write, self.write_error)

    def _reads(self, m):
        addressed = self._held(m, "ar", self.s_axil_araddr[_BYTE_BITS:], self.read_index, self.read)
        m.d.comb += self.read.eq(addressed & ~self.s_axil_rvalid)
        self._answer(m, "r", self.read, self.read_error)
        with m.If(self.read):
            m.d.sync += self.s_axil_rdata.eq(self.read_data)

    def _held(self, m, channel, payload, shown, taken):
        """Keeps what comes on `channel` in `shown` until `taken`; returns whether it holds something."""
        full = Signal(name=f"{channel}_full")
        kept = Signal(len(payload), name=f"{channel}_kept", reset_less=True)
        valid, ready = self._handshake(channel)
        m.d.comb += [ready.eq(~full), shown.eq(kept)]
        with m.If(valid & ~full):
            m.d.sync += [kept.eq(payload), full.eq(1)]
        with m.If(taken):
            m.d.sync += full.eq(0)
        return full

    def _answer(self, m, channel, access, error):
        valid, ready = self._handshake(channel)
        with m.If(access):
            response = getattr(self, f"s_axil_{channel}resp")
            m.d.sync += [valid.eq(1), response.eq(Mux(error, SLVERR, OKAY))]
        with m.Elif(ready):
            m.d.sync += valid.eq(0)

    def _handshake(self, channel):
        return getattr(self, f"s_axil_{channel}valid"), getattr(self, f"s_axil_{channel}ready")
