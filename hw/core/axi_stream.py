"""The array behind plain AXI4-Stream ports (AMBA AXI-Stream Protocol Specification, IHI 0051).

For users who move operands with a DMA of their own: no registers, no masters, no memory layout.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Shape, ShapeLike, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from ...spec.array import Config
from ...spec.core import CoreConfig
from ...spec.errors import UserError, check_type
from ...spec.streams import inputs
from ..array.beats import Beat
from ..array.top import Top
from ..modules import Modules, place
from ..ports import Component, PortGroup, prefixed
from ..streams import SkidBuffer


class Transmitter(wiring.Signature):
    """Declares a transmitter of beats of `shape`: `tdata`, `tvalid`, `tready` and perhaps `tlast`.

    TDATA is whole bytes with the beat in the low bits. The beat's member `last`, if it has one, is TLAST
    instead.
    """

    def __init__(self, shape: ShapeLike):
        self.has_last = isinstance(shape, data.StructLayout) and "last" in shape.members
        self.beat_bits = Shape.cast(shape).width - self.has_last
        members = {"tdata": Out(-(-self.beat_bits // 8) * 8), "tvalid": Out(1), "tready": In(1)}
        if self.has_last:
            members["tlast"] = Out(1)
        super().__init__(members)


def _receivers(config: Config) -> dict[str, Transmitter]:
    """Returns the ports of the array's input streams, by the streams' names."""
    return {stream.name: Transmitter(Beat(config, stream.name)) for stream in inputs(config)}


def axis_members(config: Config) -> dict[str, Member]:
    """Returns an array's streams as ports of a component: `s_axis_acts_tdata` and so on."""
    members = {}
    for name, transmitter in _receivers(config).items():
        members |= prefixed(f"s_axis_{name}_", transmitter.flip().members)
    return members | prefixed("m_axis_out_", Transmitter(Beat(config, "out")).members)


class StreamCore(Component):
    """Multiplies as `mixpe.hw.array.top.Top` does, behind AXI4-Stream ports, one beat a transfer.

    A receiver holds up to two beats, so that its TREADY comes from a register, and takes one every cycle if
    the array does; TREADY is low in reset. What the transmitter offers stays until it is taken; its TREADY
    acts within the cycle. `modules`: as for `mixpe.hw.modules`; None elaborates plain submodules.

    Ports
    -----
    s_axis_acts_*: receiver of the array's `acts`; TLAST marks a tile's last beat.
    s_axis_weights_*: receiver of `WeightsBeat`, without TLAST: weights follow acts.
    s_axis_scales_*: receiver of the array's `scales`, without TLAST.
    s_axis_tokens_*: receiver of FP32 codes, without TLAST; only there if `Config.token_scale`.
    m_axis_out_*: transmitter of the array's `out`; TLAST marks a tile's last row.

    Each has `tdata`, `tvalid`, `tready` and perhaps `tlast` (`Transmitter`). The bits of TDATA above the beat
    are zero in results, and do not matter in operands. Raises `UserError` if `config.bus` is not "stream".
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        check_type("config", config, CoreConfig)
        if config.bus != "stream":
            raise UserError(f"bus must be stream for a core without masters, not {config.bus}")
        self.config = config
        self.modules = modules
        super().__init__(axis_members(config.array))

    def elaborate(self, platform):
        m = Module()
        config, modules = self.config, self.modules
        array = place(m, "engine", lambda: Top(config.array, modules), modules, config.array.name)
        inputs = {"acts": array.acts, "weights": array.weights, "scales": array.scales}
        if config.array.row_members:
            inputs["tokens"] = array.tokens
        for name, transmitter in _receivers(config.array).items():
            self._receive(m, name, transmitter, inputs[name])
        result = Value.cast(array.out.payload)
        m.d.comb += [
            self.m_axis_out_tdata.eq(result[:-1]),
            self.m_axis_out_tlast.eq(result[-1]),
            self.m_axis_out_tvalid.eq(array.out.valid),
            array.out.ready.eq(self.m_axis_out_tready),
        ]
        return m

    def _receive(self, m: Module, name: str, transmitter: Transmitter, into: Any) -> None:
        """Brings the beats of a receiver to the array's stream `into`."""
        port = PortGroup(self, f"s_axis_{name}_", transmitter.flip())
        width = transmitter.beat_bits + transmitter.has_last
        module = f"{self.config.name}_{name}_buffer"
        buffer = place(m, f"{name}_buffer", lambda: SkidBuffer(width), self.modules, module)
        beat = port.tdata[: transmitter.beat_bits]
        m.d.comb += [
            buffer.i.payload.eq(Cat(beat, port.tlast) if transmitter.has_last else beat),
            buffer.i.valid.eq(port.tvalid),
            port.tready.eq(buffer.i.ready),
        ]
        wiring.connect(m, buffer.o, into)
