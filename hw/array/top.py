"""The top: operand streams in, result stream out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.numbers import FP32
from ..element.integer import recoded_weights
from ..fp.accumulate import to_float
from ..modules import Modules, place
from .align import Aligner, GroupCodes
from .beats import ActsBeat, OutBeat, ScalesBeat, WeightsBeat
from .control import DrainControl, Pacer, ReadOut
from .dequant import Column
from .edge import ActNormalizer, WeightDigits
from .systolic import Skew, SystolicArray


class Top(wiring.Component):
    """Multiplies tiles of `rows` x K activations by K x `cols` weights, for any K >= 1.

    Streams (`amaranth.lib.stream`, any pattern of valid and ready on each):

    - `acts` (`ActsBeat`), `weights` (`WeightsBeat`): beat b of a group holds k = lanes*b + lane. Both are
      taken in the same cycle; activations to be aligned go ahead, by up to a group and three beats. Every
      group begins a beat; lanes beyond its end hold zero activations. `last` ends the tile, and its last
      group, which may be short.
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

        acts_valid, acts, last = self._acts(m, pacer, columns)
        m.d.comb += [
            pacer.operands.eq(acts_valid & self.weights.valid),
            pacer.last.eq(last),
            pacer.scales.eq(self.scales.valid),
            pacer.drained.eq(read_out.drained),
            self.weights.ready.eq(pacer.take),
            self.scales.ready.eq(pacer.group_end),
            # A bubble is all zeros: it adds nothing, and toggles little.
            skew.acts.eq(Mux(pacer.take, acts, 0)),
            skew.weights.eq(Mux(pacer.take, self._recoded(self.weights.payload.q), 0)),
            skew.group_end.eq(pacer.group_end),
            array.acts.eq(skew.acts_out),
            array.weights.eq(self._array_weights(m, skew.weights_out)),
            array.ends.eq(skew.ends),
            drain.group_end.eq(pacer.group_end),
            drain.first.eq(pacer.first),
            drain.last.eq(last),
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

    def _acts(self, m, pacer, columns):
        """What the array takes for activations: whether they are there, their wires, the tile's last."""
        config = self.config
        if config.scheme != "aligned":
            m.d.comb += self.acts.ready.eq(pacer.take)
            acts = self.acts.payload.a.as_value()
            if config.scheme == "fp_mac":
                acts = self._each_by(m, "act_normal", acts, config.act_bits, ActNormalizer)
            return self.acts.valid, acts, self.acts.payload.last
        aligner = place(
            m, "aligner", lambda: Aligner(config, self.modules), self.modules, f"{config.name}_aligner"
        )
        codes = place(
            m, "group_codes", lambda: GroupCodes(config), self.modules, f"{config.name}_group_codes"
        )
        m.d.comb += [
            aligner.i.payload.eq(self.acts.payload),
            aligner.i.valid.eq(self.acts.valid & pacer.open),
            self.acts.ready.eq(aligner.i.ready),
            aligner.o.ready.eq(pacer.take),
            codes.codes.eq(aligner.o.payload.codes.as_value()),
            codes.group_end.eq(pacer.group_end),
        ]
        # A row's code is out a cycle before its sum is on the bus, and then follows it.
        self._follow(m, codes.code, config.resolve_stages + 1, columns, "group_code")
        return aligner.o.valid, aligner.o.payload.acts, aligner.o.payload.last

    def _array_weights(self, m, weights):
        if self.config.scheme != "fp_mac":
            return recoded_weights(self.config, weights)
        return self._each_by(m, "weight_digits", weights, self.config.weight_bits, WeightDigits)

    def _each_by(self, m, name, values, width, make):
        """`values`, of `width` bits each, through components with ports `i` and `o`."""
        config, results = self.config, []
        for index in range(len(values) // width):
            made = place(
                m,
                f"{name}{index}",
                lambda: make(config),
                self.modules,
                f"{config.name}_{name}",
                registers=False,
            )
            m.d.comb += made.i.eq(values.word_select(index, width))
            results.append(made.o)
        return Cat(results)

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
        if self.config.scheme == "fp_mac":
            row_sum = to_float(m, self.config.float_row_sum, row_sum)
        self._follow(m, row_sum, self.config.resolve_stages, columns, "row_sum")

    def _follow(self, m, value, wait, columns, port):
        """Passes what belongs to a row from column to column, after `wait` cycles, to the `port` of each."""
        names = [*(f"{port}_waiting{stage}" for stage in range(wait)), *range(len(columns))]
        for name in names:
            column = isinstance(name, int)
            passed = Signal.like(value, name=f"{port}{name}" if column else name, reset_less=True)
            m.d.sync += passed.eq(value)
            if column:
                m.d.comb += getattr(columns[name], port).eq(passed)
            value = passed

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
