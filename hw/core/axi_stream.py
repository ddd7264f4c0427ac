"""The array behind plain AXI4-Stream ports (AMBA AXI-Stream Protocol Specification, IHI 0051).

For users who move operands with a DMA of their own: no registers, no masters, no memory layout.
"""

from amaranth.hdl import Cat, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from ...spec.array import Config
from ...spec.core import CoreConfig
from ...spec.streams import inputs
from ..array.beats import Beat
from ..array.top import Top
from ..modules import Modules, place


def axis_members(config: Config) -> dict[str, Member]:
    """An array's streams as ports of a component: `s_axis_acts_tdata` and so on."""
    members = {}
    for name, shape in {**_operands(config), "out": Beat(config, "out")}.items():
        prefix, forth, back = ("m_axis_out", Out, In) if name == "out" else (f"s_axis_{name}", In, Out)
        last = _has_last(shape)
        beat_bits = Shape.cast(shape).width - last
        members[f"{prefix}_tdata"] = forth(-(-beat_bits // 8) * 8)
        members[f"{prefix}_tvalid"] = forth(1)
        members[f"{prefix}_tready"] = back(1)
        if last:
            members[f"{prefix}_tlast"] = forth(1)
    return members


def _operands(config: Config) -> dict[str, ShapeLike]:
    """Payloads of the array's input streams."""
    return {stream.name: Beat(config, stream.name) for stream in inputs(config)}


def _has_last(shape: ShapeLike) -> bool:
    """Whether a beat has the flag `last`, its highest bit."""
    return isinstance(shape, data.StructLayout) and "last" in shape.members


class StreamCore(wiring.Component):
    """`mixpe.hw.array.top.Top` with AXI4-Stream ports, one beat a transfer.

    Receivers `s_axis_acts`, `s_axis_weights`, `s_axis_scales`, `s_axis_tokens` (if `Config.token_scale`),
    transmitter `m_axis_out`; ports are called `<stream>_tdata`, `_tvalid`, `_tready`. TLAST marks a tile's
    last beat of acts, and its last row of out; the other streams have none: they follow acts.

    TDATA is whole bytes with the beat, less its `last`, in the low bits. The bits above are zero in results,
    and do not matter in operands.

    A receiver holds up to two beats, so that its TREADY comes from a register, and takes one every cycle if
    the array does; TREADY is low in reset. What the transmitter offers stays until it is taken; its TREADY
    acts within the cycle.
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        super().__init__(axis_members(config.array))

    def elaborate(self, platform):
        m = Module()
        config, modules = self.config, self.modules
        array = place(m, "engine", lambda: Top(config.array, modules), modules, config.array.name)
        for name, shape in _operands(config.array).items():
            self._receive(m, name, shape, getattr(array, name))
        result = Value.cast(array.out.payload)
        m.d.comb += [
            self.m_axis_out_tdata.eq(result[:-1]),
            self.m_axis_out_tlast.eq(result[-1]),
            self.m_axis_out_tvalid.eq(array.out.valid),
            array.out.ready.eq(self.m_axis_out_tready),
        ]
        return m

    def _receive(self, m, name, shape, into):
        """Brings the beats of a receiver to the array's stream `into`."""
        width, last = Shape.cast(shape).width, _has_last(shape)
        module = f"{self.config.name}_{name}_buffer"
        buffer = place(m, f"{name}_buffer", lambda: Buffer(width), self.modules, module)
        beat = getattr(self, f"s_axis_{name}_tdata")[: width - last]
        m.d.comb += [
            buffer.i.payload.eq(Cat(beat, getattr(self, f"s_axis_{name}_tlast")) if last else beat),
            buffer.i.valid.eq(getattr(self, f"s_axis_{name}_tvalid")),
            getattr(self, f"s_axis_{name}_tready").eq(buffer.i.ready),
            Value.cast(into.payload).eq(buffer.o.payload),
            into.valid.eq(buffer.o.valid),
            buffer.o.ready.eq(into.ready),
        ]


class Buffer(wiring.Component):
    """Two beats between the streams `i` and `o`; valid, ready and payloads come from registers."""

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        # Low after reset for a cycle, so that no beat is lost that is offered in reset.
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
