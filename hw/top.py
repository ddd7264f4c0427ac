"""The top: operand streams in, result stream out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import Skew, SystolicArray
from .config import Config
from .control import DrainControl, Pacer, ReadOut
from .dequant import Column
from .formats import FP32
from .modules import Modules, place
from .pe import recoded_weights


class ActsBeat(data.StructLayout):
    """`a[m][lane]`: activations of all rows; `last`: the tile's last beat."""

    def __init__(self, config: Config):
        lanes = data.ArrayLayout(signed(config.act_bits), config.lanes)
        super().__init__({"a": data.ArrayLayout(lanes, config.rows), "last": 1})


class WeightsBeat(data.StructLayout):
    """`q[n][lane]`: weight codes of all columns."""

    def __init__(self, config: Config):
        code = config.weight_code
        lanes = data.ArrayLayout(signed(code.bits) if code.signed else code.bits, config.lanes)
        super().__init__({"q": data.ArrayLayout(lanes, config.cols)})


class ScalesBeat(data.StructLayout):
    """`s[n]`: a group's scales (FP16 codes); `z[n]`, if `Config.zero_point`: its zero points."""

    def __init__(self, config: Config):
        code = config.weight_code
        members: dict = {"s": data.ArrayLayout(config.scale.bits, config.cols)}
        if config.zero_point:
            members["z"] = data.ArrayLayout(signed(code.bits) if code.signed else code.bits, config.cols)
        super().__init__(members)


class OutBeat(data.StructLayout):
    """`y[n]`: one row of the tile (codes of `Config.out`); `last`: it is the tile's last row."""

    def __init__(self, config: Config):
        super().__init__({"y": data.ArrayLayout(config.out.bits, config.cols), "last": 1})


class Top(wiring.Component):
    """Multiplies tiles of `rows` x K activations by K x `cols` weights, for any K >= 1.

    Streams (`amaranth.lib.stream`, any pattern of valid and ready on each):

    - `acts` (`ActsBeat`), `weights` (`WeightsBeat`): beat b of a group holds k = lanes*b + lane. Both are
      taken in the same cycle. Every group begins a beat; lanes beyond its end hold zero activations.
      `last` ends the tile, and its last group, which may be short.
    - `scales` (`ScalesBeat`): one beat a group, taken with the group's last operands.
    - `tokens` (FP32 codes, if `Config.token_scale`): one beat a row, in row order.
    - `out` (`OutBeat`): `rows` beats a tile, in row order.

    A row or column without data is fed zeros. After reset no beat is taken for `Config.group_gap` - 1 cycles.
    `ready` of the inputs depends on their `valid` within the
    cycle; `out.valid` depends on registers only.

    Throughput: a beat a cycle. A group shorter than `Config.group_gap` cycles is followed by bubbles, and
    so is a tile whose first group is shorter than `Config.tile_gap`, which is what the drain of the tile
    before costs: nothing for longer groups. `Config.run_cycles` counts every cycle. Output that is not
    taken holds up the end of the next tile's first group, never the array.

    `modules`: as of `mixpe.hw.modules`; None elaborates plain submodules.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        members = {
            "acts": In(stream.Signature(ActsBeat(config))),
            "weights": In(stream.Signature(WeightsBeat(config))),
            "scales": In(stream.Signature(ScalesBeat(config))),
            "out": Out(stream.Signature(OutBeat(config))),
        }
        if config.token_scale:
            members["tokens"] = In(stream.Signature(FP32.bits))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, modules = self.config, self.modules

        def add(name, make):
            return place(m, name, make, modules, f"{config.name}_{name}")

        pacer = add("pacer", lambda: Pacer(config))
        skew = add("skew", lambda: Skew(config, modules))
        array = add("array", lambda: SystolicArray(config, modules))
        drain = add("drain", lambda: DrainControl(config))
        read_out = add("read_out", lambda: ReadOut(config))
        columns = [
            place(m, f"column{col}", lambda: Column(config), modules, f"{config.name}_column")
            for col in range(config.cols)
        ]

        m.d.comb += [
            pacer.operands.eq(self.acts.valid & self.weights.valid),
            pacer.last.eq(self.acts.payload.last),
            pacer.scales.eq(self.scales.valid),
            pacer.drained.eq(read_out.drained),
            self.acts.ready.eq(pacer.take),
            self.weights.ready.eq(pacer.take),
            self.scales.ready.eq(pacer.group_end),
            # A bubble is all zeros: it adds nothing, and toggles little.
            skew.acts.eq(Mux(pacer.take, self.acts.payload.a.as_value(), 0)),
            skew.weights.eq(Mux(pacer.take, self._recoded(self.weights.payload.q), 0)),
            skew.group_end.eq(pacer.group_end),
            array.acts.eq(skew.acts_out),
            array.weights.eq(recoded_weights(config, skew.weights_out)),
            array.ends.eq(skew.ends),
            drain.group_end.eq(pacer.group_end),
            drain.first.eq(pacer.first),
            drain.last.eq(self.acts.payload.last),
            read_out.finished.eq(drain.finished),
            read_out.ready.eq(self.out.ready),
            self.out.valid.eq(read_out.valid),
            self.out.payload.last.eq(read_out.last),
        ]
        self._connect_columns(m, pacer, array, drain, read_out, columns)
        self._connect_row_sums(m, array, columns)
        self._connect_slots(m, pacer, drain, columns)
        self._connect_tokens(m, read_out, columns)
        return m

    def _connect_columns(self, m, pacer, array, drain, read_out, columns):
        for column in columns:
            m.d.comb += [
                column.scale_write.eq(pacer.group_end),
                column.advance.eq(read_out.advance),
                column.out_row.eq(read_out.row),
            ]
        # Whole buses at once: Amaranth takes far longer over a slice for each column.
        m.d.comb += [
            _each(columns, "sum").eq(array.sums),
            _each(columns, "scale").eq(self.scales.payload.s.as_value()),
            _each(columns, "read_row").eq(drain.read_rows),
            _each(columns, "first").eq(drain.firsts),
            _each(columns, "write").eq(drain.writes),
            _each(columns, "write_row").eq(drain.write_rows),
            self.out.payload.y.as_value().eq(_each(columns, "out")),
        ]
        if self.config.zero_point:
            m.d.comb += _each(columns, "zero").eq(self._recoded(self.scales.payload.z))

    def _connect_row_sums(self, m, array, columns):
        """Row sums follow their rows from column to column."""
        if not self.config.has_row_sum:
            return
        row_sum = array.row_sum
        for stage in range(self.config.resolve_stages):
            delayed = Signal.like(row_sum, name=f"row_sum_resolving{stage}", reset_less=True)
            m.d.sync += delayed.eq(row_sum)
            row_sum = delayed
        for col, column in enumerate(columns):
            passed = Signal.like(array.row_sum, name=f"row_sum{col}", reset_less=True)
            m.d.sync += passed.eq(row_sum)
            m.d.comb += column.row_sum.eq(passed)
            row_sum = passed

    def _connect_slots(self, m, pacer, drain, columns):
        config = self.config
        if config.scale_slots == 1:
            return
        slot = Signal(config.scale_slot_bits)
        with m.If(pacer.group_end):
            m.d.sync += slot.eq(Mux(slot == config.scale_slots - 1, 0, slot + 1))
        m.d.comb += drain.slot.eq(slot)
        m.d.comb += [column.scale_write_slot.eq(slot) for column in columns]
        m.d.comb += _each(columns, "scale_slot").eq(drain.scale_slots)
        if config.zero_point:
            m.d.comb += _each(columns, "zero_slot").eq(drain.zero_slots)

    def _connect_tokens(self, m, read_out, columns):
        if not self.config.token_scale:
            m.d.comb += read_out.token.eq(1)
            return
        token = Signal(FP32.bits, reset_less=True)
        with m.If(read_out.advance):
            m.d.sync += token.eq(self.tokens.payload)
        m.d.comb += [read_out.token.eq(self.tokens.valid), self.tokens.ready.eq(read_out.take)]
        m.d.comb += [column.token.eq(token) for column in columns]

    def _recoded(self, codes):
        """Signed weights (or zero points): unsigned codes lose half their range, a flipped top bit."""
        value = codes.as_value()
        if self.config.weight_signed:
            return value
        width = self.config.weight_bits
        return value ^ Cat(Const(1 << (width - 1), width) for _ in range(len(value) // width))


def _each(columns, port: str):
    """The port of every column, column 0 in the low bits."""
    return Cat(getattr(column, port) for column in columns)
