"""Proofs of an accelerator core: of the whole of it, and of each of its parts."""

from collections.abc import Callable
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from mixpe.hw.core.buffers import act_buffer, stream_buffer
from mixpe.hw.core.commands import Commands
from mixpe.hw.core.core import Core
from mixpe.hw.core.loaders import ActLoader, BankTag, TileLoader, TokenLoader
from mixpe.hw.core.plan import TileSizes
from mixpe.hw.core.reader import Burst, Reader
from mixpe.hw.core.register_file import RegisterFile
from mixpe.hw.core.writer import Writer
from mixpe.hw.modules import Modules
from mixpe.spec import layout
from mixpe.spec.core import CoreConfig

from .lines import Line
from .proof import Proof
from .rules import Reads, Writes, hold, hold_master, hold_stream, lite_slave, onehot_or_none

Maker = Callable[[Modules], Proof]
ROW_BURSTS = 8
"""Bursts of a row of activations up to which the loader of activations is proved."""

_ALIGNED = (layout.ALIGNMENT - 1).bit_length()


def core_proofs(config: CoreConfig) -> dict[str, Maker]:
    """Returns the proofs of a core with AXI4 ports, by name."""
    makers = {
        "core": _core,
        "register file": _register_file,
        "commands": _commands,
        "reader": _reader,
        "writer": _writer,
        "weight loader": partial(_tile_loader, "weight"),
        "scale loader": partial(_tile_loader, "scale"),
        "act loader": _act_loader,
        "weight buffer": partial(_stream_buffer, "weight"),
        "scale buffer": partial(_stream_buffer, "scale"),
        "act buffer": _act_buffer,
    }
    if config.array.row_members:
        makers["token loader"] = _token_loader
    return {name: partial(make, config) for name, make in makers.items()}


def _core(config: CoreConfig, modules: Modules) -> Proof:
    """The masters with what runs commands: an early end resets parts of the core, and must not break a rule.

    All else may do anything, so registers, loaders, buffers and array matter to no property.
    """
    kept = ("commands", "reader", "writer")
    names = ["engine", "registers", "planner", "act_feed"]
    names += [f"{name}_{kind}" for name in _tags(config) for kind in ("loader", "buffer")]
    cut = [f"{config.name}_{name}" for name in names if name not in kept]
    proof = Proof("core", modules, config.name, lambda: Core(config, modules), cut)
    hold_master(proof, config)
    return proof


def _register_file(config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof("register file", modules, "registers", lambda: RegisterFile(config))
    # A command waits for its check.
    lite_slave(proof, proof.part.offered & ~proof.part.checked)
    return proof


def _commands(config: CoreConfig, modules: Modules) -> Proof:
    """Commands that are accepted run in order; what runs is what loaders and writer take for granted."""
    proof = Proof("commands", modules, "commands", lambda: Commands(config))
    part = proof.part
    job = part.job
    accepted = part.submit & ~part.refused.any()
    command = Cat(part.command[name][: len(Value.cast(job[name]))] for name, _ in job.shape())
    seen = Cat(Value.cast(job[name]) for name, _ in job.shape())
    Line(
        proof,
        "queue",
        put=accepted,
        item=command,
        take=part.plan,
        seen=seen,
        most=config.queue,
        bits=(0,),
        clear=part.clear,
    )
    proof.prove("queued", part.queued <= config.queue)
    stays = part.running & proof.past(part.running)
    proof.prove("job_stays", ~stays | (seen == proof.past(seen)))
    sizes = Cat(job[name].any() for name in "mkn").all()
    proof.prove("job_has_a_size", ~part.running | sizes)
    for name in ("o_address", "o_stride"):
        proof.prove(f"{name}_aligned", ~job[name][:_ALIGNED].any())
    held = proof.past(part.hold)
    proof.prove("hold_until_clear", ~held | part.hold | proof.past(part.clear))
    proof.prove("clear_when_quiet", ~part.clear | (part.hold & proof.past(part.quiet)))
    return proof


def _tags(config: CoreConfig) -> dict[str, BankTag | None]:
    token = {"token": BankTag(config, 1, config.token_words)} if config.array.row_members else {}
    act = BankTag(config, config.array.rows, config.act_words)
    return {**token, "scale": None, "act": act, "weight": None}


def _within(config: CoreConfig, burst: Any) -> Value:
    """Returns whether a `Burst` crosses no multiple of a burst."""
    if config.burst == 1:
        return burst.more == 0
    return burst.address[: config.burst_index_bits] + burst.more < config.burst


def _reader(config: CoreConfig, modules: Modules) -> Proof:
    tags = _tags(config)
    proof = Proof("reader", modules, "reader", lambda: Reader(config, tags))
    part = proof.part
    for name in tags:
        request = getattr(part, f"{name}_request")
        proof.assume(f"{name}_within_burst", ~request.valid | _within(config, request.payload))
    reads = Reads(proof, config)
    _requests(proof, config, reads, tags)
    return proof


def _requests(proof: Proof, config: CoreConfig, reads: Reads, tags: dict[str, BankTag | None]) -> None:
    """Proves that words go to the client that asked for them, with the tag that it gave."""
    part, m = proof.part, proof.m
    requests = {name: getattr(part, f"{name}_request") for name in tags}
    takes = [each.valid & each.ready for each in requests.values()]
    tag_bits = max(len(Value.cast(each.payload.tag)) for each in requests.values())
    item, seen = Signal(len(tags) + tag_bits), Signal(len(tags) + tag_bits)
    burst = Signal(Burst(config, None))
    for index, (name, tag) in enumerate(tags.items()):
        payload = requests[name].payload
        with m.If(takes[index]):
            m.d.comb += [
                item.eq(Cat(Const(1 << index, len(tags)), Value.cast(payload.tag))),
                burst.address.eq(payload.address),
                burst.more.eq(payload.more),
            ]
        load = getattr(part, f"{name}_load")
        with m.If(load):
            shown = Value.cast(getattr(part, f"{name}_tag")) if tag else Const(0, 0)
            m.d.comb += seen.eq(Cat(Const(1 << index, len(tags)), shown))
    proof.prove("one_at_a_time", onehot_or_none(takes))
    offered = Signal(Burst(config, None))
    address = reads.burst.addr[config.word_index_bits :]
    m.d.comb += [offered.address.eq(address), offered.more.eq(reads.burst.len)]
    proof.prove(
        "request_is_offered",
        ~proof.past(Cat(takes).any())
        | (reads.offered & (offered.as_value() == proof.past(burst.as_value()))),
    )
    proof.prove("nothing_unasked", proof.past(Cat(takes).any()) | ~reads.offered)
    proof.prove("held", ~part.hold | ~Cat(takes).any())
    proof.prove("quiet", ~part.quiet | ~reads.under_way.any())
    Line(
        proof,
        "order",
        put=Cat(takes).any(),
        item=item,
        look=reads.came,
        take=reads.came & part.m_axi_rlast,
        seen=seen,
        most=config.outstanding,
        bits=(0, len(item) - 1),
    )
    place = Signal.like(part.index)
    with m.If(reads.came):
        m.d.sync += place.eq(Mux(part.m_axi_rlast, 0, place + 1))
    proof.prove("index", part.index == place)


def _writer(config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof("writer", modules, "writer", lambda: Writer(config))
    part = proof.part
    for name in ("address", "stride"):
        proof.assume(f"{name}_aligned", ~getattr(part, name)[:_ALIGNED].any())
    writes = Writes(proof, config)
    proof.prove("quiet", ~part.quiet | ~writes.under_way)
    return proof


def _tile_loader(name: str, config: CoreConfig, modules: Modules) -> Proof:
    bits = TileSizes(config)[f"{name}_words"].width
    proof = Proof(f"{name} loader", modules, "loader", lambda: TileLoader(config, bits))
    _planned(proof, proof.part.words)
    _loader(proof, config)
    return proof


def _loader(proof: Proof, config: CoreConfig) -> None:
    hold_stream(proof, "request", proof.part.request)
    request = proof.part.request
    proof.prove("request_within_burst", ~request.valid | _within(config, request.payload))


def _planned(proof: Proof, size: Value) -> None:
    """Assumes that a size is not 0, and stays from one start to the next.

    In the core it changes before the next start already, where nothing reads it.
    """
    start, begun = proof.part.start, Signal()
    proof.m.d.sync += begun.eq(begun | start)
    proof.assume("size_not_0", ~(start | begun) | size.any())
    proof.assume("size_stays", ~begun | start | (size == proof.past(size)))


def _act_loader(config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof("act loader", modules, "loader", lambda: ActLoader(config))
    _planned(proof, proof.part.words)
    proof.assume("row_at_most", proof.part.words <= ROW_BURSTS * config.burst)
    _loader(proof, config)
    return proof


def _token_loader(config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof("token loader", modules, "loader", lambda: TokenLoader(config))
    _planned(proof, proof.part.rows)
    _loader(proof, config)
    return proof


def _act_buffer(config: CoreConfig, modules: Modules) -> Proof:
    """What the banks show stays; their memories may hold anything, as long as nothing is read."""
    proof = Proof("act buffer", modules, "buffer", lambda: act_buffer(config, modules))
    part = proof.part
    proof.assume("start_between_tiles", ~part.start | ~part.out.valid)
    # What is on the output changes with a word that is read: none is while a beat waits.
    reads = Cat(proof.inner(f"ram{row}.read", 1) for row in range(config.array.rows))
    waits = part.out.valid & ~part.out.ready
    hold(proof, "out", part.out.valid, part.out.ready, part.last)
    proof.prove("no_read_while_waiting", ~waits | ~reads.any())
    return proof


def _stream_buffer(name: str, config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof(f"{name} buffer", modules, "buffer", lambda: stream_buffer(config, name, modules))
    part = proof.part
    proof.assume("reserve_with_room", ~part.reserve | part.room)
    proof.assume("burst_at_most", part.more < config.burst)
    proof.assume("start_between_tiles", ~part.start | ~part.out.valid)
    hold_stream(proof, "out", part.out)
    _queue(proof, modules.components["buffer"].depth)
    return proof


def _queue(proof: Proof, depth: int) -> None:
    """Proves that the memory of a stream buffer is a queue: no word is lost, none is read before it comes.

    One word of the memory is watched; which one is open. What else is said of the queue makes the whole
    inductive: what holds in one cycle holds in the next, whatever the depth.
    """
    part, m = proof.part, proof.m
    size, place_bits = range(depth + 1), range(depth)
    write, pop = proof.inner("ram.write", 1), proof.inner("ram.read", 1)
    write_place = proof.inner("ram.write_address", place_bits)
    read_place = proof.inner("ram.read_address", place_bits)
    space, owed, stored = Signal(size, init=depth), Signal(size), Signal(size)
    place, full = proof.constant("place", place_bits), Signal()
    writes, reads = write & (write_place == place), pop & (read_place == place)
    behind = (place - read_place)[: len(place)]
    m.d.sync += [
        space.eq(space - Mux(part.reserve, part.more + 1, 0) + pop),
        owed.eq(owed + Mux(part.reserve, part.more + 1, 0) - part.load),
        stored.eq(stored + part.load - pop),
        full.eq(full & ~reads | writes),
    ]
    proof.assume("load_is_reserved", ~part.load | owed.any())
    rules = (
        ~writes | ~full,  # no overflow
        ~reads | full,  # no underflow
        ~pop | stored.any(),
        space + owed + stored == depth,
        write_place == (read_place + stored)[: len(place)],
        full == (behind < stored),
    )
    proof.prove("queue_neither_overflows_nor_underflows", Cat(rules).all())
    proof.reach("queue_fills", ~part.room)
