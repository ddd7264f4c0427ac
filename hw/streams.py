"""Registers on streams of `amaranth.lib.stream`, written once for all who need them.

A transfer happens in every cycle in which `valid` and `ready` of a stream are both high. Its source keeps
`valid` high, and the payload as it is, until the transfer. The functions also take a channel of an AXI bus,
which follows the same rule.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from .ports import Component, PortGroup

Output = stream.Interface | PortGroup
"""A stream, or the ports of a bus's channel, with `valid` and `ready`."""


def is_free(output: Output) -> Value:
    """Returns whether the register behind `output` takes a new beat in this cycle: `offer` may be asked."""
    return ~output.valid | output.ready


def offer(m: Module, output: Output, put: Value, payload: Sequence[Any] = ()) -> None:
    """Makes `output` a register of one beat, and puts a beat there in every cycle in which `put` is high.

    `payload` assigns the beat. `put` may only be high while `is_free(output)` is. The beat is on the output
    from the next cycle on, until it is taken. A beat can be put there in the cycle in which the one before it
    is taken, so a beat moves in every cycle; in return `ready` acts within the cycle.
    """
    with m.If(output.ready):
        m.d.sync += output.valid.eq(0)
    with m.If(put):
        m.d.sync += [output.valid.eq(1), *payload]


class SkidBuffer(Component):
    """Holds up to two beats between the streams `i` and `o`, so that no path leads from one to the other.

    `ready` of the input, `valid` and the payload of the output come from registers. A beat that is taken in
    cycle t is offered from cycle t + 1 on, and a beat moves in every cycle. `i.ready` is low in reset and in
    the first cycle behind it, so that no beat is lost that is offered in reset.

    Ports
    -----
    i: stream of `width` bits, in.
    o: stream of `width` bits, out: the same beats in the same order.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        ready = Signal()
        waiting = Signal()
        second = Signal(self.width, reset_less=True)
        payload = Signal(self.width, reset_less=True)
        valid = Signal()
        m.d.comb += [self.i.ready.eq(ready), self.o.valid.eq(valid), self.o.payload.eq(payload)]
        with m.If(~valid | self.o.ready):
            m.d.sync += [
                valid.eq(waiting | (self.i.valid & ready)),
                payload.eq(Mux(waiting, second, self.i.payload)),
                waiting.eq(0),
                ready.eq(1),
            ]
        with m.Elif(self.i.valid & ready):
            m.d.sync += [second.eq(self.i.payload), waiting.eq(1), ready.eq(0)]
        return m
