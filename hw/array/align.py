"""Alignment of floating-point activations at the array's edge, after FIGNA (Jang et al., HPCA 2024).

The activations of a row and group become integers with one exponent, that of the largest of them, so that the
array multiplies integers. The largest is known when the group is complete: a memory holds a group while
the next one enters.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.numbers import FloatFormat
from ..fp.normal import special_code
from ..fp.normalize import named, shift_right_sticky
from ..modules import Modules, place
from ..ports import Component
from .beats import Beat


class AlignedBeat(data.StructLayout):
    """Holds a beat for the array.

    acts: wires of all rows (`Config.act_wires` each). last: as in the beat that enters. codes: what the
    dequantizer must know of the beat's group (`Config.group_code_bits` for each row).
    """

    def __init__(self, config: Config):
        codes = data.ArrayLayout(config.group_code_bits, config.rows)
        super().__init__({"acts": config.rows * config.act_wires, "last": 1, "codes": codes})


class Aligner(Component):
    """Aligns a stream of beats, group by group; groups are counted as `mixpe.hw.array.control.Pacer` does.

    Ports
    -----
    i: stream in, the top's beat `acts`, any pattern of valid.
    o: stream out, `AlignedBeat`, any pattern of ready.

    A group of b beats leaves b + `ALIGN_STAGES` cycles after its first beat is taken, at the earliest. From
    then on beats leave as fast as they enter, as long as no group is longer than the one before it.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        super().__init__(
            {
                "i": In(stream.Signature(Beat(config, "acts"))),
                "o": Out(stream.Signature(AlignedBeat(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        # One more than a group, so that a beat can enter whether or not one leaves in the same cycle.
        depth = config.group_beats + 1
        width = config.lanes * config.act_bits
        m.submodules.groups = groups = Memory(shape=config.rows * width, depth=depth, init=[])
        write, read = groups.write_port(), groups.read_port()

        # A group enters, up to its end; then it waits to be read.
        beat = self.i.payload
        count = Signal(range(config.group_beats))
        waiting_count = Signal(range(config.group_beats))
        waiting = Signal()
        waiting_last = Signal()
        level = Signal(range(depth + 1))
        take = Signal()
        ending = Signal()
        m.d.comb += [
            ending.eq((count == config.group_beats - 1) | beat.last),
            take.eq(self.i.valid & (level != depth) & ~(ending & waiting)),
            self.i.ready.eq(take),
            write.en.eq(take),
            write.data.eq(beat.a.as_value()),
        ]
        with m.If(take):
            m.d.sync += [_step(write.addr, depth), count.eq(Mux(ending, 0, count + 1))]
            with m.If(ending):
                m.d.sync += [waiting.eq(1), waiting_count.eq(count), waiting_last.eq(beat.last)]

        # A group is read; its beats follow each other through the memory's register and the output's.
        left = Signal(range(config.group_beats))
        begun = Signal()
        last = Signal()
        reading = Signal()
        read_end = Signal()
        advance = Signal()
        fetch = Signal()
        issue = Signal()
        begin = Signal()
        issue_end = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            fetch.eq(~reading | advance),
            issue.eq(fetch & (begun | waiting)),
            begin.eq(issue & ~begun),
            issue_end.eq(Mux(begun, left == 0, waiting_count == 0)),
            read.en.eq(fetch),
        ]
        with m.If(issue):
            m.d.sync += [
                _step(read.addr, depth),
                begun.eq(~issue_end),
                left.eq(Mux(begun, left, waiting_count) - 1),
            ]
        with m.If(begin):
            m.d.sync += [waiting.eq(0), last.eq(waiting_last)]
        m.d.sync += level.eq(level + take - issue)

        with m.If(fetch):
            m.d.sync += [reading.eq(issue), read_end.eq(issue_end & Mux(begun, last, waiting_last))]
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(reading), self.o.payload.last.eq(read_end)]

        rows = [
            place(m, f"row{row}", lambda: RowAligner(config), self.modules, f"{config.name}_row_aligner")
            for row in range(config.rows)
        ]
        for row in rows:
            m.d.comb += [
                row.take.eq(take),
                row.ending.eq(ending),
                row.begin.eq(begin),
                row.advance.eq(advance),
            ]
        m.d.comb += [
            Cat(row.entering for row in rows).eq(beat.a.as_value()),
            Cat(row.stored for row in rows).eq(read.data),
            self.o.payload.acts.eq(Cat(row.acts for row in rows)),
            self.o.payload.codes.as_value().eq(Cat(row.code for row in rows)),
        ]
        return m


def _step(address: Signal, depth: int):
    """Moves an address to the next of `depth` places."""
    return address.eq(Mux(address == depth - 1, 0, address + 1))


class RowAligner(Component):
    """Finds, for one row, the largest exponent of the group that enters, and aligns the group before.

    Ports
    -----
    entering: in: the lanes of a beat.
    take: in, 1: they enter.
    ending: in, 1, with it: they end their group.
    begin: in, 1: the first beat of the group that waits is read from the memory.
    stored: in, from the next cycle on: the lanes of the beat that was read.
    advance: in, 1: `acts` and `code` take the beat over.
    acts: out, `Config.act_wires`: the aligned lanes.
    code: out, `Config.group_code_bits`: what the dequantizer must know of the beat's group.
    """

    def __init__(self, config: Config):
        self.config = config
        width = config.lanes * config.act_bits
        super().__init__(
            {
                "entering": In(width),
                "take": In(1),
                "ending": In(1),
                "begin": In(1),
                "advance": In(1),
                "stored": In(width),
                "acts": Out(config.act_wires),
                "code": Out(config.group_code_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        bits = config.group_code_bits
        so_far, waiting, reading = (
            Signal(bits, init=1, name=name) for name in ("so_far", "waiting", "reading")
        )
        total: Value = so_far
        for lane in range(config.lanes):
            lane_code = self._lane_code(m, self.entering.word_select(lane, config.act_bits), f"lane{lane}")
            total = self._merged(m, total, lane_code, f"with_lane{lane}")
        with m.If(self.take):
            m.d.sync += so_far.eq(Mux(self.ending, 1, total))
            with m.If(self.ending):
                m.d.sync += waiting.eq(total)
        with m.If(self.begin):
            m.d.sync += reading.eq(waiting)

        exponent = reading[: config.act_float.exponent_bits]
        special = reading[config.act_float.exponent_bits :].any()
        lanes = [
            self._aligned(
                m, self.stored.word_select(lane, config.act_bits), exponent, special, f"aligned{lane}"
            )
            for lane in range(config.lanes)
        ]
        with m.If(self.advance):
            m.d.sync += [
                self.acts.eq(Cat(*lanes, *([special] if config.has_infinities else []))),
                self.code.eq(reading),
            ]
        return m

    def _lane_code(self, m: Module, code: Value, name: str) -> Value:
        """The group's code if it held this activation alone."""
        form = self.config.act_float
        fraction, field, sign = _fields(code, form)
        parts = [named(m, field | ~field.any(), name=f"{name}_field")]
        if form.infinities:
            # NaN counts as infinite, too: with it, nobody asks for infinities.
            infinite = named(m, field.all(), name=f"{name}_infinite")
            parts += [infinite & fraction.any(), infinite & ~sign, infinite & sign]
        elif form.nans:
            parts += [special_code(field, fraction, form)]
        return Cat(parts)

    def _merged(self, m: Module, one: Value, other: Value, name: str) -> Value:
        bits = self.config.act_float.exponent_bits
        larger = Mux(one[:bits] < other[:bits], other[:bits], one[:bits])
        return named(m, Cat(larger, one[bits:] | other[bits:]), name=name)

    def _aligned(self, m: Module, code: Value, exponent: Value, special: Value, name: str) -> Value:
        """The activation in units of 2**(exponent - `Config.align_offset`), rounded to nearest, ties to even,
        at most `Config.act.max` in magnitude; in a group with infinities as `hw/element/special.py` says."""
        config, form = self.config, self.config.act_float
        fraction, field, sign = _fields(code, form)
        normal = named(m, field.any(), name=f"{name}_normal")
        shift = named(m, (exponent - (field | ~normal))[: form.exponent_bits], name=f"{name}_shift")
        kept = config.align_bits - 1
        width = max(form.significand_bits, kept + 2)  # with a guard and a sticky bit
        significand = Cat(Const(0, width - form.significand_bits), fraction, normal)
        shifted = shift_right_sticky(m, significand, shift, name=f"{name}_shifted")
        magnitude, guard, sticky = shifted[-kept:], shifted[-kept - 1], shifted[: -kept - 1].any()
        up = guard & (sticky | magnitude[0])
        if kept < form.significand_bits:
            up &= ~magnitude.all()
        # -(x + up) is ~x + ~up: one incrementer rounds and negates.
        up = named(m, up ^ sign, name=f"{name}_up")
        total = (Cat(magnitude, Const(0, 1)) ^ sign.replicate(kept + 1)) + up
        value = named(m, total[: config.align_bits], name=name)
        if not form.infinities:
            return value
        # An infinity has the group's largest exponent: not shifted, it is not 0, and its top bit is its sign.
        # NaN looks like it, but makes NaN of the sum by the group's code.
        return Cat(Mux(special, field.all(), value[0]), value[1:])


def _fields(code: Value, form: FloatFormat) -> tuple[Value, Value, Value]:
    """Fraction, exponent field and sign."""
    return code[: form.fraction_bits], code[form.fraction_bits : -1], code[-1]


class GroupCodes(Component):
    """Gives out the rows' group codes one after the other, as the rows of each segment drain.

    Ports
    -----
    codes: in, `Config.group_code_bits` for each row: those of the group whose operands enter.
    group_end: in, 1, cycle t: that group ends.
    code: out, `Config.group_code_bits` for each row of a cluster and each segment: row i's code in cycle
        t+1+i, or t+1+i // `Config.cluster`.
    """

    def __init__(self, config: Config):
        self.config = config
        bits = config.group_code_bits
        super().__init__(
            {
                "codes": In(config.rows * bits),
                "group_end": In(1),
                "code": Out(config.segments * config.buses * bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, bits = self.config, self.config.group_code_bits
        rows = config.segment_rows
        for segment in range(config.segments):
            # Its rows' turn comes `rows` cycles behind those above; until then a register keeps their codes.
            codes = self.codes[segment * rows * bits : (segment + 1) * rows * bits]
            when: Value = self.group_end
            for step in range(segment):
                kept = Signal.like(codes, name=f"kept{segment}_{step}", reset_less=True)
                with m.If(when):
                    m.d.sync += kept.eq(codes)
                codes, when = kept, self._later(m, when, f"due{segment}_{step}")
            line = Signal(rows * bits, name=f"line{segment}", reset_less=True)
            step = config.buses * bits
            m.d.sync += line.eq(Mux(when, codes, line[step:]))
            m.d.comb += self.code.word_select(segment, step).eq(line[:step])
        return m

    def _later(self, m: Module, pulse: Value, name: str) -> Value:
        """Returns `pulse` as many cycles later as a segment has rows."""
        line = Signal(self.config.segment_rows, name=name)
        m.d.sync += line.eq(Cat(pulse, line))
        return line[-1]
