"""Proofs of an array, and of an array behind AXI4-Stream ports."""

from collections.abc import Callable
from functools import partial

from mixpe.hw.array.top import Top
from mixpe.hw.core.axi_stream import StreamCore
from mixpe.hw.modules import Modules
from mixpe.hw.streams import SkidBuffer
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

from .lines import Line
from .proof import Proof
from .rules import hold, hold_stream

Maker = Callable[[Modules], Proof]


def array_proofs(config: Config) -> dict[str, Maker]:
    """Returns the proofs of an array, by name."""
    return {"array": partial(_array, config)}


def stream_proofs(config: CoreConfig) -> dict[str, Maker]:
    """Returns the proofs of a core with AXI4-Stream ports, by name."""
    return {"skid buffer": _skid_buffer, "stream core": partial(_stream_core, config)}


def _array(config: Config, modules: Modules) -> Proof:
    proof = Proof("array", modules, config.name, lambda: Top(config, modules))
    hold_stream(proof, "out", proof.part.out)
    return proof


def _stream_core(config: CoreConfig, modules: Modules) -> Proof:
    proof = Proof("stream core", modules, config.name, lambda: StreamCore(config, modules))
    part = proof.part
    payload = part.m_axis_out_tdata, part.m_axis_out_tlast
    hold(proof, "out", part.m_axis_out_tvalid, part.m_axis_out_tready, *payload)
    return proof


def _skid_buffer(modules: Modules) -> Proof:
    proof = Proof("skid buffer", modules, "skid_buffer", lambda: SkidBuffer(2))
    i, o = proof.part.i, proof.part.o
    hold_stream(proof, "o", o)
    Line(
        proof,
        "beats",
        put=i.valid & i.ready,
        item=i.payload,
        look=o.valid,
        take=o.valid & o.ready,
        seen=o.payload,
        most=2,
    )
    proof.prove("i_ready_reset", ~proof.after_reset | ~i.ready)
    # No deadlock: what is taken is offered in the next cycle, and with nothing to hold there is room.
    proof.prove("i_is_taken", proof.past(o.valid & ~o.ready) | proof.after_reset | i.ready)
    proof.prove("o_is_offered", ~proof.past(i.valid & i.ready) | o.valid)
    return proof
