"""The top: operand streams in, result stream out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.errors import check_type
from ...spec.formats.numbers import FP32
from ...spec.streams import streams
from ..modules import Modules, place
from ..ports import Component, by_name
from .beats import Beat
from .control import DrainControl, Pacer, ReadOut, slots_port
from .dequant import Column, slot_port
from .door import centred
from .schemes import circuits
from .systolic import Skew, SystolicArray


class Top(Component):
    """Multiplies tiles of `rows` x K activations by K x `cols` weights, for any K >= 1.

    Beat b of a group holds k = lanes*b + lane. Every group begins a beat; lanes beyond its end hold zero
    activations, and rows or columns without data are fed zeros.

    Parameters
    ----------
    config: the array.
    modules: as `mixpe.hw.modules` has it; None elaborates plain submodules.

    Raises `UserError` if `config` is no `Config`.

    Ports: streams with any pattern of valid and ready; payloads as `mixpe.spec.streams` lists them
    -----
    acts: stream in: activations of all rows; `last` ends the tile and its last group, which may be short.
    weights: stream in: weight codes of all columns, taken in the cycle of their activations. Activations to
        be aligned go ahead, by up to a group and three beats.
    scales: stream in: the members of a group, one beat a group, taken with the group's last operands.
    tokens: stream in, only with token scales: one beat a row, in row order.
    out: stream out: `rows` beats a tile, in row order.

    After reset no beat is taken for `Config.group_gap` - 1 cycles. `ready` of the inputs depends on their
    `valid` within the cycle; `out.valid` depends on registers only.

    Throughput is a beat a cycle. A group shorter than `Config.group_gap` cycles is followed by bubbles, and
    so is a tile whose first group is shorter than `Config.tile_gap`, which is what the drain of the tile
    before costs: nothing for longer groups. `Config.run_cycles` counts every cycle. Output that is not
    taken holds up the end of the next tile's first group, never the array.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        check_type("config", config, Config)
        self.config = config
        self.modules = modules
        self.circuits = circuits(config, modules)
        super().__init__(
            {
                each.name: (In if each.takes else Out)(stream.Signature(Beat(config, each.name)))
                # Ports of optional streams come last, so that the others keep their places.
                for each in sorted(streams(config), key=lambda each: each.optional)
            }
        )

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

        acts = self.circuits.acts(m, self.acts, pacer)
        if acts.group_code is not None:
            # A row's code is out a cycle before its sum is on the bus, and then follows it.
            wait = config.scheme.resolve_stages + 1
            self._follow(m, acts.group_code, wait, [column.group_code for column in columns], "group_code")
        m.d.comb += [
            pacer.operands.eq(acts.valid & self.weights.valid),
            pacer.last.eq(acts.last),
            pacer.scales.eq(self.scales.valid),
            pacer.drained.eq(read_out.drained),
            self.weights.ready.eq(pacer.take),
            self.scales.ready.eq(pacer.group_end),
            # A bubble is all zeros: it adds nothing, and toggles little.
            skew.acts.eq(Mux(pacer.take, acts.wires, 0)),
            skew.weights.eq(Mux(pacer.take, self._centred(self.weights.payload.q), 0)),
            skew.group_end.eq(pacer.group_end),
            array.acts.eq(skew.acts_out),
            array.weights.eq(self.circuits.weights(m, skew.weights_out)),
            array.ends.eq(skew.ends),
            drain.group_end.eq(pacer.group_end),
            drain.first.eq(pacer.first),
            drain.last.eq(acts.last),
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
            Cat(column.sum for column in columns).eq(array.sums),
            Cat(column.read_row for column in columns).eq(drain.read_rows),
            Cat(column.first for column in columns).eq(drain.firsts),
            Cat(column.write for column in columns).eq(drain.writes),
            Cat(column.write_row for column in columns).eq(drain.write_rows),
            self.out.payload.y.as_value().eq(Cat(column.out for column in columns)),
        ]
        for member in self.config.matrix.members:
            codes = self.scales.payload[member.symbol]
            # Zero points are weight codes, and are centred as these are.
            weights = member.format == self.config.weight_code
            codes = self._centred(codes) if weights else codes.as_value()
            m.d.comb += Cat(by_name(column)[member.name] for column in columns).eq(codes)

    def _connect_row_sums(self, m, array, columns):
        """Row sums follow their rows from column to column."""
        if not self.config.matrix.subtracts:
            return
        row_sum = self.circuits.resolved_row_sum(m, array.row_sum)
        wait = self.config.scheme.resolve_stages
        self._follow(m, row_sum, wait, [column.row_sum for column in columns], "row_sum")

    def _follow(self, m, value, wait, ports, name):
        """Passes what belongs to a row from column to column, after `wait` cycles, to a port of each."""
        for stage in range(wait):
            passed = Signal.like(value, name=f"{name}_waiting{stage}", reset_less=True)
            m.d.sync += passed.eq(value)
            value = passed
        for index, port in enumerate(ports):
            passed = Signal.like(value, name=f"{name}{index}", reset_less=True)
            m.d.sync += passed.eq(value)
            m.d.comb += port.eq(passed)
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
        for member in config.matrix.members:
            slots = by_name(drain)[slots_port(member)]
            m.d.comb += Cat(by_name(column)[slot_port(member)] for column in columns).eq(slots)

    def _connect_tokens(self, m, read_out, columns):
        if not self.config.row_members:
            m.d.comb += read_out.token.eq(1)
            return
        token = Signal(FP32.bits, reset_less=True)
        with m.If(read_out.advance):
            m.d.sync += token.eq(self.tokens.payload.t)
        m.d.comb += [read_out.token.eq(self.tokens.valid), self.tokens.ready.eq(read_out.take)]
        m.d.comb += [column.token.eq(token) for column in columns]

    def _centred(self, codes):
        """Weight codes (or zero points) with that of zero made all low."""
        return centred(self.config.matrix.weight, codes.as_value())
