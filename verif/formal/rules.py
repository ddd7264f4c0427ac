"""The rules of streams and of AXI4 channels, as properties of whatever has the ports.

AMBA AXI and ACE Protocol Specification, IHI 0022E, sections A3 (channels and bursts) and B1 (AXI4-Lite).
"""

from collections.abc import Collection, Sequence
from typing import Any

from amaranth.hdl import Cat, Mux, Signal, Value

from mixpe.hw.core.axi import INCR, MASTER, AddressChannel
from mixpe.hw.core.axi_lite import SLAVE, LiteSlave
from mixpe.hw.ports import PortGroup
from mixpe.spec.core import CoreConfig

from .proof import Proof

PAGE = 4096
"""Bytes: AXI lets no burst cross a multiple."""


def hold(proof: Proof, name: str, valid: Any, ready: Any, *payload: Any) -> None:
    """Proves that a channel waits: `valid` and the payload stay until `ready`, and reset drops `valid`."""
    waits = proof.past(valid & ~ready)
    now = Cat(*(Value.cast(each) for each in payload))
    proof.prove(f"{name}_reset", ~proof.after_reset | ~valid)
    proof.prove(f"{name}_valid_stays", ~waits | valid)
    proof.prove(f"{name}_payload_stays", ~waits | (now == proof.past(now)))
    proof.reach(f"{name}_waits", waits)


def hold_stream(proof: Proof, name: str, stream: Any) -> None:
    """Proves `hold` of an output stream, and that beats can follow each other."""
    hold(proof, name, stream.valid, stream.ready, stream.payload)


def onehot_or_none(bits: Sequence[Value]) -> Value:
    """Returns whether one of `bits` is high at most."""
    value = Cat(bits)
    return ~(value & (value - 1))[: len(value)].any()


def lite_slave(proof: Proof, held_up: Value) -> None:
    """Proves the rules of an AXI4-Lite slave, for a master that does whatever it likes.

    A write is under way from its address and its data on, whichever comes last, to its answer. `held_up`:
    what does not belong to the bus holds up its answer in this cycle.
    """
    bus = PortGroup(proof.part, SLAVE, LiteSlave().flip())
    hold(proof, "b", bus.bvalid, bus.bready, bus.bresp)
    hold(proof, "r", bus.rvalid, bus.rready, bus.rresp, bus.rdata)
    proof.prove("bresp_okay_or_slverr", ~bus.bvalid | ~bus.bresp[0])
    proof.prove("rresp_okay_or_slverr", ~bus.rvalid | ~bus.rresp[0])

    written, read = bus.bvalid & bus.bready, bus.rvalid & bus.rready
    addresses = proof.count(bus.awvalid & bus.awready, written, 2, "addresses")
    words = proof.count(bus.wvalid & bus.wready, written, 2, "words")
    reads = proof.count(bus.arvalid & bus.arready, read, 2, "reads")
    # The counts are those of requests of the cycles before, less their answers; they never fall below 0.
    proof.prove("b_has_its_request", ~bus.bvalid | (addresses.any() & words.any()))
    proof.prove("r_has_its_request", ~bus.rvalid | reads.any())
    for name, count in {"aw": addresses, "w": words, "ar": reads}.items():
        proof.prove(f"{name}_two_at_most", count <= 2)
        proof.reach(f"{name}_two", count == 2)
    # Bounded response: with its request complete, an answer is there in the next cycle but one.
    late_b = addresses.any() & words.any() & ~bus.bvalid & ~held_up
    late_r = reads.any() & ~bus.rvalid
    proof.prove("b_comes", ~(proof.past(late_b) & late_b))
    proof.prove("r_comes", ~(proof.past(late_r) & late_r))
    # No deadlock: a request is taken at once unless one that has no answer on the bus is before it.
    proof.prove("aw_is_taken", (addresses > bus.bvalid) | bus.awready)
    proof.prove("w_is_taken", (words > bus.bvalid) | bus.wready)
    proof.prove("ar_is_taken", (reads > bus.rvalid) | bus.arready)


def hold_master(proof: Proof, config: CoreConfig) -> None:
    """Proves `hold` of a master's channels AR, AW and W."""
    for name in ("ar", "aw"):
        _hold_address(proof, name, _address(proof, config, name))
    _hold_words(proof)


def _hold_address(proof: Proof, name: str, bus: Any) -> None:
    constants = (bus.id, bus.lock, bus.cache, bus.prot)
    hold(proof, name, bus.valid, bus.ready, bus.addr, bus.len, bus.size, bus.burst, *constants)


def _hold_words(proof: Proof) -> None:
    part = proof.part
    payload = part.m_axi_wdata, part.m_axi_wstrb, part.m_axi_wlast
    hold(proof, "w", part.m_axi_wvalid, part.m_axi_wready, *payload)


def _address(proof: Proof, config: CoreConfig, name: str) -> Any:
    return PortGroup(proof.part, f"{MASTER}{name}", AddressChannel(config))


def _bursts(proof: Proof, config: CoreConfig, name: str, limits: Collection[int]) -> Any:
    """Proves the rules of an address channel whose bursts cross no multiples of `limits`, in bytes."""
    bus = _address(proof, config, name)
    _hold_address(proof, name, bus)
    legal = (bus.burst == INCR) & (1 << bus.size == config.word_bytes) & (bus.lock == 0) & (bus.id == 0)
    proof.prove(f"{name}_constants", ~bus.valid | legal)
    proof.prove(f"{name}_aligned", ~bus.valid | ~bus.addr[: config.word_index_bits].any())
    for limit in limits:
        first = bus.addr[config.word_index_bits : (limit - 1).bit_length()]
        inside = first + bus.len < limit // config.word_bytes
        proof.prove(f"{name}_within_{limit}_bytes", ~bus.valid | inside)
    return bus


def _offered(proof: Proof, channel: Any) -> Value:
    """Returns whether the channel's payload is a new one, and not one that waits."""
    return channel.valid & ~proof.past(channel.valid & ~channel.ready)


class Reads:
    """Proves the rules of a master's channels AR and R, for a slave that answers whatever it likes.

    A burst is under way from the cycle in which its address is offered to that of its last word.

    Attributes
    ----------
    burst: the address channel. offered: a new burst is on it. came: a word is taken.
    under_way: bursts under way in this cycle.
    """

    def __init__(self, proof: Proof, config: CoreConfig):
        part = proof.part
        self.burst = _bursts(proof, config, "ar", {config.burst * config.word_bytes, PAGE})
        self.offered = _offered(proof, self.burst)
        valid, ready, last = part.m_axi_rvalid, part.m_axi_rready, part.m_axi_rlast
        self.under_way = Signal(range(config.outstanding + 2))
        before = Signal.like(self.under_way)
        self.came = valid & ready
        proof.m.d.comb += self.under_way.eq(before + self.offered)
        done = self.came & last & self.under_way.any()
        proof.m.d.sync += before.eq(self.under_way - done)
        proof.prove("r_outstanding", self.under_way <= config.outstanding)
        proof.prove("r_is_taken", ~self.under_way.any() | ready)
        proof.reach("r_all_outstanding", self.under_way == config.outstanding)


class Writes:
    """Proves the rules of a master's channels AW, W and B.

    A burst's address and first word are offered in one cycle, and the next burst when all of it is taken. So
    no word comes without its address, and a burst's words are never behind those of another. The slave takes
    what it likes, but answers each burst once, when it has taken all of it.

    Attributes
    ----------
    under_way: a burst is offered, or waits for its answer.
    """

    def __init__(self, proof: Proof, config: CoreConfig):
        part, m = proof.part, proof.m
        burst = _bursts(proof, config, "aw", [PAGE])
        offered = _offered(proof, burst)
        took = part.m_axi_wvalid & part.m_axi_wready
        last = self._words(proof, config, burst, offered, took)

        # Answers. The address may be taken after the last word.
        late = Signal()
        waits, whole = Signal(range(config.outstanding + 2)), Signal(range(config.outstanding + 2))
        finished = late | (took & last)
        answered = part.m_axi_bvalid & part.m_axi_bready
        m.d.sync += [
            late.eq(finished & burst.valid & ~burst.ready),
            whole.eq(whole + (finished & (burst.ready | ~burst.valid)) - answered),
            waits.eq(waits + offered - answered),
        ]
        proof.assume("b_has_its_burst", ~part.m_axi_bvalid | whole.any())
        proof.prove("b_is_taken", part.m_axi_bready)
        proof.prove("b_outstanding", waits + offered <= config.outstanding)
        proof.reach("b_all_outstanding", waits == config.outstanding)
        self.under_way = offered | waits.any()

    def _words(self, proof: Proof, config: CoreConfig, burst: Any, offered: Value, took: Value) -> Value:
        """Proves the rules of the words; returns whether the one on the bus is the last of its burst."""
        part, m = proof.part, proof.m
        _hold_words(proof)
        valid, strobes = part.m_axi_wvalid, part.m_axi_wstrb
        # Words of the burst that are still to be taken.
        before, left, begun = Signal(9), Signal(9), Signal()
        m.d.comb += left.eq(Mux(offered, burst.len + 1, before))
        m.d.sync += [before.eq(left - took), begun.eq(begun & ~offered | took)]
        last = left == 1
        proof.prove("aw_behind_its_words", ~offered | ~before.any())
        proof.prove("w_has_its_address", ~valid | left.any())
        proof.prove("w_is_offered", ~left.any() | valid)
        proof.prove("wlast_in_its_place", ~valid | (part.m_axi_wlast == last))
        inner = valid & begun & ~offered & ~last
        proof.prove("w_inner_words_are_whole", ~inner | strobes.all())
        proof.prove("w_strobes_side_by_side", ~valid | _contiguous(strobes))
        proof.prove("w_strobes_not_0", ~valid | strobes.any())
        if config.array.cols * config.array.out.bits > config.data_bits:
            proof.reach("w_two_words", valid & (left == 2))
        return last


def _contiguous(strobes: Value) -> Value:
    """Returns whether the bytes that are written stand side by side."""
    raised = strobes | (strobes - 1)  # zeros below the lowest filled
    return ~(raised & (raised + 1))[: len(strobes)].any()
