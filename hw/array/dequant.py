"""Dequantizes group sums and converts results, in IEEE 754 arithmetic."""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.matrix import Member
from ...spec.formats.numbers import FP32
from ..choose import chosen, words
from ..fp import FloatAdder, FloatCast, FloatMultiplier
from ..ports import Component, by_name
from .hold import Hold
from .schemes import circuits

_NEGATIVE_ZERO = 1 << (FP32.bits - 1)


class Dequantizer(Component):
    """Dequantizes the group sums of a bank of columns in a segment of rows, and keeps their running results.

    For every item, a row and a column: `C = P - z*S`, `D = fl32(C) * s` (the scheme's formula, one rounding),
    `Y = D` for a tile's first group, else `Y + D`. Latency is fixed and an item enters every cycle. A bank of
    several columns holds their sums until it is their turn, row by row. "Banked" below: only in such banks.

    Ports, with the cycle in which they refer to an item that enters the arithmetic in cycle 3; without banks
    its sum is on the bus in cycle 2
    -----
    sums: in, `Config.drain_bits` for each bus of each column: the words of P, as elements drain them.
    arrives, arrive_words: in, for each column, banked: its sums are held, in that word.
    item_row, item_col: in, cycle 3, banked.
    row_sum: in, cycle `sum_latency`, only where something is subtracted: S.
    group_code: in, `Config.group_code_bits`, cycle `sum_latency`, only of aligned activations: the unit in
        which the row's group counts, and what it holds of infinities and NaN.
    <member>: in, one for each member of a group (`scale`, `zero`): the codes of all columns, written into the
        slot `scale_write_slot` when `scale_write` is high. An integer is signed, as in the array.
    scale_write: in, 1: the members of a group are there.
    scale_write_slot: in, only if `Config.scale_slots` > 1: where they are written.
    <member>_slot: in, cycle `Config.use_latency`, only if `Config.scale_slots` > 1: which slot is used.
    <member>_col: in, the same cycle, banked: of which column.
    read: in, cycle `product_latency` - 1, banked: a row begins whose Y are continued.
    read_row: in, cycle `product_latency` - 1: the row whose Y is continued.
    running_col: in, cycle `product_latency`, banked.
    first: in, 1, cycle `product_latency`: the item's Y begins instead.
    write, write_row, write_col: in, cycle `write_latency`: the item whose new Y is stored.
    take: in, 1: the results of the row `out_row` are read.
    out_row: in.
    results: out, 32 bits for each column, from the next cycle on until another row is read.
    """

    def __init__(self, config: Config):
        self.config = config
        self.circuits = circuits(config)
        cols, row, col = config.bank_cols, config.segment_row_bits, config.bank_col_bits
        ports = {
            "sums": In(cols * config.buses * config.drain_bits),
            "scale_write": In(1),
            "read_row": In(row),
            "first": In(1),
            "write": In(1),
            "write_row": In(row),
            "take": In(1),
            "out_row": In(row),
            "results": Out(cols * FP32.bits),
        }
        if cols > 1:
            ports |= {"arrives": In(cols), "arrive_words": In(cols * config.held_word_bits)}
            ports["item_row"] = In(row)
            ports |= {name: In(col) for name in ("item_col", "running_col", "write_col")}
            ports["read"] = In(1)
        if config.matrix.subtracts:
            ports["row_sum"] = In(self.circuits.resolved_row_sum_shape)
        if config.group_code_bits:
            ports["group_code"] = In(config.group_code_bits)
        for member in config.matrix.members:
            ports[member.name] = In(cols * member_shape(member, config).width)
            if config.scale_slots > 1:
                ports[slot_port(member)] = In(config.scale_slot_bits)
            if cols > 1:
                ports[col_port(member)] = In(col)
        if config.scale_slots > 1:
            ports["scale_write_slot"] = In(config.scale_slot_bits)
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()

        drained = Signal(self.circuits.drain_shape, reset_less=True)
        m.d.sync += drained.eq(self._item(m))
        multiplier = self.circuits.product(m, self, drained)
        m.submodules.adder = adder = FloatAdder()
        m.d.comb += [
            multiplier.b.eq(self._held(m, "s")),
            adder.a.eq(multiplier.o),
            adder.b.eq(self._addend(self._running(m, adder.o))),
        ]
        return m

    def _addend(self, running: Value) -> Value:
        """Returns what D is added to: x + -0 is x, for every x, so that a tile's first D passes the adder."""
        return Mux(self.first, _NEGATIVE_ZERO, running)

    def _item(self, m: Module) -> Value:
        """Returns the word of P whose turn it is: that on the bus, or one that is held."""
        config = self.config
        if not config.banked:
            return self.sums
        current = []
        for col, sums in enumerate(words(self.sums, config.bank_cols)):
            m.submodules[f"hold{col}"] = hold = Hold(config, config.drain_bits)
            m.d.comb += [
                hold.arrives.eq(self.arrives[col]),
                hold.word.eq(self.arrive_words.word_select(col, config.held_word_bits)),
                hold.values.eq(sums),
                hold.row.eq(self.item_row),
            ]
            current.append(hold.value)
        return chosen(self.item_col, current)

    def _running(self, m: Module, new: Value) -> Value:
        """Adds the memory of Y, into which `new` is written; returns the running sum of the item."""
        config = self.config
        cols, banked = config.bank_cols, config.banked
        m.submodules.sums = sums = Memory(shape=cols * FP32.bits, depth=1 << config.segment_row_bits, init=[])
        write = sums.write_port(granularity=FP32.bits if banked else None)
        m.d.comb += [write.addr.eq(self.write_row), write.data.eq(new.replicate(cols))]
        results = Signal(cols * FP32.bits, reset_less=True)
        running = Signal(cols * FP32.bits, reset_less=True)
        m.d.comb += self.results.eq(results)
        if not banked:
            current, finished = sums.read_port(domain="comb"), sums.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.write),
                current.addr.eq(self.read_row),
                finished.addr.eq(self.out_row),
            ]
            m.d.sync += running.eq(current.data)
            with m.If(self.take):
                m.d.sync += results.eq(finished.data)
            return running
        # Results are read in cycles in which no row of running sums is.
        port = sums.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(Cat(self.write & (self.write_col == col) for col in range(cols))),
            port.addr.eq(Mux(self.read, self.read_row, self.out_row)),
        ]
        with m.If(self.read):
            m.d.sync += running.eq(port.data)
        with m.If(self.take):
            m.d.sync += results.eq(port.data)
        return chosen(self.running_col, words(running, cols))

    def zero_point(self, m: Module) -> Value | int:
        """Returns the zero point inside the array, where something is subtracted: the group's, or the
        constant that makes up for the offset of unsigned codes."""
        low, high = self.config.matrix.zero_limits
        return low if low == high else self._held(m, "z")

    def _held(self, m: Module, symbol: str) -> Value:
        """Returns a member of the item's group and column, from the register, one of several where groups
        overlap, that holds those of all columns."""
        config = self.config
        member = config.matrix.member(symbol)
        ports, name = by_name(self), member.name
        source = ports[name]
        if config.scale_slots == 1:
            current = Signal.like(source, name=f"{name}_held", reset_less=True)
            with m.If(self.scale_write):
                m.d.sync += current.eq(source)
        else:
            slots = []
            for index in range(config.scale_slots):
                slot = Signal.like(source, name=f"{name}_slot{index}", reset_less=True)
                with m.If(self.scale_write & (self.scale_write_slot == index)):
                    m.d.sync += slot.eq(source)
                slots.append(slot)
            current = chosen(ports[slot_port(member)], slots)
        if config.banked:
            current = chosen(ports[col_port(member)], words(current, config.bank_cols))
        return current.as_signed() if member_shape(member, config).signed else current


class Conversion(Component):
    """Converts the results of a bank of columns, row by row: `result = cast(Y * t)`.

    All moves only when `advance` is high. In banks of several columns, one result enters in a cycle.

    Ports
    -----
    results: in, 32 bits for each column: the row's Y, FP32.
    col: in, only in banks of several columns: the column whose result enters.
    token: in, 32, with `results`, only with token scales: the row's scale, FP32.
    advance: in, 1: the pipeline moves.
    out: out, `Config.out` for each column: the codes of the row's results, when the last one is there.
    """

    def __init__(self, config: Config):
        self.config = config
        cols = config.bank_cols
        ports = {"results": In(cols * FP32.bits), "advance": In(1), "out": Out(cols * config.out.bits)}
        if cols > 1:
            ports["col"] = In(config.bank_col_bits)
        ports |= {member.name: In(member.format.bits) for member in config.row_members}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        result: Value = self.results
        if config.banked:
            result = chosen(self.col, words(self.results, config.bank_cols))
        moving = EnableInserter(self.advance)
        for member in config.row_members:
            scaler = FloatMultiplier(FP32, FP32)
            m.submodules.scaler = moving(scaler)
            m.d.comb += [scaler.a.eq(result), scaler.b.eq(by_name(self)[member.name])]
            result = scaler.o
        cast = FloatCast(config.out)
        m.submodules.cast = moving(cast)
        m.d.comb += cast.i.eq(result)
        codes = cast.o
        if config.banked:
            before = Signal((config.bank_cols - 1) * config.out.bits, reset_less=True)
            codes = Cat(before, cast.o)
            with m.If(self.advance):
                m.d.sync += before.eq(codes[config.out.bits :])
        m.d.comb += self.out.eq(codes)
        return m


def member_shape(member: Member, config: Config) -> Shape:
    """Returns the shape of a member inside the array: zero points are signed, whatever their codes are."""
    return signed(config.weight.bits) if member.format == config.weight_code else Shape(member.format.bits)


def slot_port(member: Member) -> str:
    """Returns the name of the port that chooses a member's slot."""
    return f"{member.name}_slot"


def col_port(member: Member) -> str:
    """Returns the name of the port that chooses the column whose member is used."""
    return f"{member.name}_col"
