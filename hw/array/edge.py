"""What stands around floating-point elements: operands made at the array's edge, row sums, zero points."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.formats.numbers import FP16
from ..arith.adders import Adders
from ..fp.accumulate import add_all
from ..fp.addend import Product
from ..fp.normal import lookup, normalized
from ..fp.normalize import named, normalize, powers_below
from ..ports import Component


class ActNormalizer(Component):
    """Normalizes an activation of `Config.act_float`, as elements take it. Combinational.

    Ports
    -----
    i: in, `Config.act_bits`: the activation's code.
    o: out, `Config.lane_wires`: its normal code (`Config.act_normal`).
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"i": In(config.act_bits), "o": Out(config.lane_wires)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(normalized(m, self.i, self.config.act_float))
        return m


class WeightDigits(Component):
    """Makes digits of a weight code, as elements take them (`Config.weight_digits`). Combinational.

    Ports
    -----
    i: in, `Config.weight_bits`: the code, with that of zero made all low.
    o: out, `Config.weight_wires`: the digits of the integer that it stands for.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"i": In(config.weight_bits), "o": Out(config.weight_wires)})

    def elaborate(self, platform):
        m = Module()
        weight, digits = self.config.matrix.weight, self.config.weight_digits
        values = {code ^ weight.zero_code: weight.inside(code) for code in range(1 << weight.bits)}
        words = {code: digits.encode(values[code]) for code in sorted(values, key=lambda code: values[code])}
        m.d.comb += self.o.eq(lookup(m, self.i, words, digits.wires))
        return m


class FloatRowSum(Component):
    """Accumulates `S`, the FP32 sum of a group's activations, in the order in which elements add products.

    Timing as `mixpe.hw.element.integer.RowSum` has it.

    Ports
    -----
    acts: in, `Config.lane_wires` for each lane: activations as elements take them.
    done: in, 1: the operands before ended their group.
    sum: out, `Config.row_sum_bits`: a word of `Config.float_row_sum`; zero in cycles that end no group.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "acts": In(config.lanes * config.lane_wires),
                "done": In(1),
                "sum": Out(config.row_sum_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        total = Signal(config.row_sum_bits, reset_less=True)
        word = named(m, Mux(self.done, 0, total), name="word")
        acts = [self.acts.word_select(lane, config.lane_wires) for lane in range(config.lanes)]
        addends = [self._addend(m, act) for act in acts]
        m.d.sync += total.eq(add_all(m, Adders(m), config.float_row_sum, word, addends, config.final_adder))
        m.d.comb += self.sum.eq(Mux(self.done, total, 0))
        return m

    def _addend(self, m: Module, act: Value) -> Product:
        form = self.config.act_normal
        f = form.fraction_bits
        code = act[f:-1]
        special = named(m, code[-form.special_ones :].all(), name="special")
        return Product(
            sign=act[-1],
            code=code,
            significand=Cat(act[:f], Const(1, 2)),
            zero=named(m, ~code.any(), name="zero"),
            special=special,
            nan=named(m, special & act[f - 1], name="nan"),
            offset=form.offset,
        )


def integer_float(m: Module, value: Value) -> Value:
    """The FP16 code of a small signed integer, exactly; of at most 11 bits."""
    width = len(value)
    sign = value[-1]
    magnitude = named(m, (value.as_unsigned() ^ sign.replicate(width)) + sign, name="magnitude")[:width]
    normal, zeros = normalize(m, magnitude, powers_below(width), name="integer")
    field = named(m, (FP16.bias + width - 1 - zeros)[: FP16.exponent_bits], name="integer_field")
    fraction = Cat(Const(0, FP16.significand_bits - width), normal[:-1])
    return Cat(fraction, field & normal[-1].replicate(len(field)), sign)
