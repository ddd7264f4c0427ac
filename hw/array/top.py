"""The top: operand streams in, result stream out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.errors import check_type
from ...spec.formats.numbers import FP32
from ...spec.streams import streams
from ..choose import chosen, words
from ..modules import Modules, place
from ..ports import Component, by_name
from .beats import Beat
from .control import Pacer, ReadOut
from .dequant import Conversion, Dequantizer
from .door import centred
from .drain import DrainControl, taps
from .followers import Followers
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
    taken holds up the end of the next tile's first group, or of its second where dequantizers are shared,
    never the array.
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
        dequantizers = [
            # Scripts know its module as the column's, whose name it keeps.
            place(m, f"column{index}", lambda: Dequantizer(config), modules, f"{config.name}_column")
            for index in range(len(config.lags))
        ]
        conversions = [
            place(m, f"conversion{bank}", lambda: Conversion(config), modules, f"{config.name}_conversion")
            for bank in range(config.banks)
        ]

        acts = self.circuits.acts(m, self.acts, pacer)
        m.d.comb += [
            pacer.operands.eq(acts.valid & self.weights.valid),
            pacer.last.eq(acts.last),
            pacer.scales.eq(self.scales.valid),
            pacer.left.eq(read_out.left),
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
        self._connect_dequantizers(m, pacer, array, drain, read_out, dequantizers)
        if config.banked:
            self._connect_banks(m, pacer, drain, read_out, dequantizers, conversions)
        followers = Followers(m, config, drain)
        if config.matrix.subtracts:
            sums = words(array.row_sum, config.segments * config.buses)
            if self.circuits.row_sum_shape.signed:
                sums = [each.as_signed() for each in sums]
            resolved = [self.circuits.resolved_row_sum(m, each) for each in sums]
            if config.buses > 1:
                resolved = [Cat(part) for part in _parts(resolved, config.buses)]
            followers.follow(resolved, [each.row_sum for each in dequantizers], "row_sum")
        if acts.group_code is not None:
            codes = words(acts.group_code, config.segments)
            followers.follow(codes, [each.group_code for each in dequantizers], "group_code", early=1)
        self._connect_slots(m, pacer, drain, dequantizers)
        self._connect_conversions(m, read_out, dequantizers, conversions)
        self._connect_tokens(m, read_out, conversions)
        return m

    def _connect_dequantizers(self, m, pacer, array, drain, read_out, dequantizers):
        config = self.config
        for index, each in enumerate(dequantizers):
            segment, row = index // config.banks, read_out.row
            taken = read_out.take
            if segment:
                taken &= read_out.row >= segment * config.segment_rows
                row = row - segment * config.segment_rows
            if segment < config.segments - 1:
                taken &= read_out.row < (segment + 1) * config.segment_rows
            m.d.comb += [
                each.scale_write.eq(pacer.group_end),
                each.take.eq(taken),
                each.out_row.eq(row[: config.segment_row_bits]),
            ]
        # Whole buses at once: Amaranth takes far longer over a slice for each column.
        m.d.comb += Cat(each.sums for each in dequantizers).eq(array.sums)
        self._spread(m, drain, dequantizers)
        for member in config.matrix.members:
            codes = self.scales.payload[member.symbol]
            # Zero points are weight codes, and are centred as these are.
            weights = member.format == config.weight_code
            codes = self._centred(codes) if weights else codes.as_value()
            m.d.comb += Cat(by_name(each)[member.name] for each in dequantizers).eq(
                codes.replicate(config.segments)
            )

    def _spread(self, m, drain, dequantizers):
        """Connects what the drain control tells all dequantizers."""
        for tap in taps(self.config):
            m.d.comb += Cat(by_name(each)[tap.port] for each in dequantizers).eq(by_name(drain)[tap.outputs])

    def _connect_banks(self, m, pacer, drain, read_out, dequantizers, conversions):
        """Connects what only dequantizers of several columns have."""
        m.d.comb += [
            Cat(each.arrives for each in dequantizers).eq(drain.arrives),
            Cat(each.arrive_words for each in dequantizers).eq(drain.arrive_words),
            drain.rows_read.eq(read_out.row),
            pacer.stalled.eq(drain.stalled),
            read_out.free.eq(~drain.reads.any()),
        ]
        m.d.comb += [each.col.eq(read_out.col) for each in conversions]

    def _connect_slots(self, m, pacer, drain, dequantizers):
        config = self.config
        if config.scale_slots == 1:
            return
        slot = Signal(config.scale_slot_bits)
        with m.If(pacer.group_end):
            m.d.sync += slot.eq(Mux(slot == config.scale_slots - 1, 0, slot + 1))
        m.d.comb += drain.slot.eq(slot)
        m.d.comb += [each.scale_write_slot.eq(slot) for each in dequantizers]

    def _connect_conversions(self, m, read_out, dequantizers, conversions):
        config = self.config
        results = [Cat(each.results for each in part) for part in _parts(dequantizers, config.banks)]
        if config.segments > 1:
            segment = Signal(range(config.segments))
            with m.If(read_out.take):
                firsts = range(config.segment_rows, config.rows, config.segment_rows)
                m.d.sync += segment.eq(sum((read_out.row >= first for first in firsts), Const(0)))
            results = [chosen(segment, results)]
        m.d.comb += [
            Cat(each.results for each in conversions).eq(results[0]),
            self.out.payload.y.as_value().eq(Cat(each.out for each in conversions)),
        ]
        m.d.comb += [each.advance.eq(read_out.advance) for each in conversions]

    def _connect_tokens(self, m, read_out, conversions):
        if not self.config.row_members:
            m.d.comb += read_out.token.eq(1)
            return
        token = Signal(FP32.bits, reset_less=True)
        with m.If(read_out.take):
            m.d.sync += token.eq(self.tokens.payload.t)
        m.d.comb += [read_out.token.eq(self.tokens.valid), self.tokens.ready.eq(read_out.take)]
        m.d.comb += [each.token.eq(token) for each in conversions]

    def _centred(self, codes):
        """Weight codes (or zero points) with that of zero made all low."""
        return centred(self.config.matrix.weight, codes.as_value())


def _parts(items: list, size: int) -> list[list]:
    """Returns `items` in lists of `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
