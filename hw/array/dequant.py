"""One column's dequantizer: from group sums to results, in IEEE 754 arithmetic."""

from amaranth.hdl import EnableInserter, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.matrix import Member
from ...spec.formats.numbers import FP32
from ..fp import FloatAdder, FloatCast, FloatMultiplier
from ..ports import Component, by_name
from .schemes import circuits

_NEGATIVE_ZERO = 1 << (FP32.bits - 1)


class Column(Component):
    """Dequantizes the group sums of one array column and keeps the column's running results.

    For every row: `C = P - z*S`, `D = fl32(C) * s` (the scheme's formula, one rounding), `Y = D` for a tile's
    first group, else `Y + D`; read out, `result = cast(Y * t)`. Latency is fixed, a row enters every cycle,
    and nothing stalls up to the memory of Y.

    Ports, with the cycle in which they refer to a row whose `sum` is on the bus in cycle 2
    -----
    sum: in, `Config.drain_bits`, cycle 2: the word of P, as elements drain it.
    row_sum: in, cycle `sum_latency`, only where something is subtracted: S.
    group_code: in, `Config.group_code_bits`, cycle `sum_latency`, only of aligned activations: the unit in
        which the row's group counts, and what it holds of infinities and NaN.
    <member>: in, one for each member of a group (`scale`, `zero`): its code, written into the slot
        `scale_write_slot` when `scale_write` is high. An integer is signed, as in the array.
    scale_write: in, 1: the members of a group are there.
    scale_write_slot: in, only if `Config.scale_slots` > 1: where they are written.
    <member>_slot: in, cycle `Config.use_latency`, only if `Config.scale_slots` > 1: which slot is used.
    read_row: in, cycle `product_latency` - 1: the row whose Y is continued.
    first: in, 1, cycle `product_latency`: the row's Y begins instead.
    write, write_row: in, cycle `write_latency`: the row whose new Y is stored.
    advance: in, 1: the read-out, a pipeline of `Config.output_latency` cycles, moves.
    out_row: in: the row that enters the read-out.
    token: in, 32, one `advance` later, only with token scales: the row's scale, FP32.
    out: out, `Config.out`: the result's code.
    """

    def __init__(self, config: Config):
        self.config = config
        self.circuits = circuits(config)
        first, *others = config.matrix.members
        ports = {
            "sum": In(self.circuits.drain_shape),
            first.name: In(member_shape(first, config)),
            "scale_write": In(1),
            "read_row": In(config.row_index_bits),
            "first": In(1),
            "write": In(1),
            "write_row": In(config.row_index_bits),
            "advance": In(1),
            "out_row": In(config.row_index_bits),
            "out": Out(config.out.bits),
        }
        if config.matrix.subtracts:
            ports["row_sum"] = In(self.circuits.resolved_row_sum_shape)
        if config.group_code_bits:
            ports["group_code"] = In(config.group_code_bits)
        ports |= {member.name: In(member_shape(member, config)) for member in others}
        if config.scale_slots > 1:
            ports["scale_write_slot"] = In(config.scale_slot_bits)
            ports |= {slot_port(member): In(config.scale_slot_bits) for member in config.matrix.members}
        ports |= {member.name: In(member.format.bits) for member in config.row_members}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config = self.config

        drained = Signal.like(self.sum, reset_less=True)
        m.d.sync += drained.eq(self.sum)
        multiplier = self.circuits.product(m, self, drained)
        m.submodules.adder = adder = FloatAdder()
        m.submodules.results = results = Memory(shape=FP32.bits, depth=1 << config.row_index_bits, init=[])
        write, running, finished = results.write_port(), results.read_port(), results.read_port()
        m.d.comb += [
            multiplier.b.eq(self._held(m, "s")),
            running.addr.eq(self.read_row),
            adder.a.eq(multiplier.o),
            # x + -0 is x, for every x: the first group's sum passes through the adder.
            adder.b.eq(Mux(self.first, _NEGATIVE_ZERO, running.data)),
            write.en.eq(self.write),
            write.addr.eq(self.write_row),
            write.data.eq(adder.o),
            finished.en.eq(self.advance),
            finished.addr.eq(self.out_row),
        ]

        result = finished.data
        moving = EnableInserter(self.advance)
        for member in config.row_members:
            scaler = FloatMultiplier(FP32, FP32)
            m.submodules.scaler = moving(scaler)
            m.d.comb += [scaler.a.eq(result), scaler.b.eq(by_name(self)[member.name])]
            result = scaler.o
        cast = FloatCast(config.out)
        m.submodules.cast = moving(cast)
        m.d.comb += [cast.i.eq(result), self.out.eq(cast.o)]
        return m

    def zero_point(self, m: Module) -> Value | int:
        """Returns the zero point inside the array, where something is subtracted: the group's, or the
        constant that makes up for the offset of unsigned codes."""
        low, high = self.config.matrix.zero_limits
        return low if low == high else self._held(m, "z")

    def _held(self, m: Module, symbol: str) -> Value:
        """Returns the register, one of several where groups overlap, that holds a member of the current
        group."""
        member = self.config.matrix.member(symbol)
        name, source = member.name, by_name(self)[member.name]
        if self.config.scale_slots == 1:
            slot = Signal.like(source, name=f"{name}_held", reset_less=True)
            with m.If(self.scale_write):
                m.d.sync += slot.eq(source)
            return slot
        slots = [
            Signal.like(source, name=f"{name}_slot{index}", reset_less=True)
            for index in range(self.config.scale_slots)
        ]
        chosen, current = slots[0], by_name(self)[slot_port(member)]
        for index, slot in enumerate(slots[1:], start=1):
            chosen = Mux(current == index, slot, chosen)
        for index, slot in enumerate(slots):
            with m.If(self.scale_write & (self.scale_write_slot == index)):
                m.d.sync += slot.eq(source)
        return chosen


def member_shape(member: Member, config: Config) -> Shape:
    """Returns the shape of a member inside the array: zero points are signed, whatever their codes are."""
    return signed(config.weight.bits) if member.format == config.weight_code else Shape(member.format.bits)


def slot_port(member: Member) -> str:
    """Returns the name of the port that chooses a member's slot."""
    return f"{member.name}_slot"
