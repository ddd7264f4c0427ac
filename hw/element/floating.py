"""MixPE's W4A16 processing element: floating-point activations times integer weights, FP32 sums."""

from collections.abc import Collection, Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value

from ...spec.array import Config
from ..arith.adders import Adders
from ..arith.heap import BitHeap
from ..fp.accumulate import add_all
from ..fp.addend import Product
from ..fp.normalize import named
from ..modules import Modules
from .shell import Shell

_SELECTED = 0.5  # arrival time, as in `mixpe.hw.element.datapath`


class FloatIntPE(Shell):
    """Accumulates the FP32 sum of weight * act, of signed integer weights and floating-point activations.

    This is MixPE's shift and add: a weight is a power of two times a significand of few digits, so a product
    is a sum of shifted copies of the activation's significand (`ScaledDigits`). Products are exact (beyond
    FP32's range infinite), and each sum is rounded to nearest, ties to even, in the order of cycles. Products
    of several lanes are added first, in FP32, as a balanced tree: acc + ((p0 + p1) + (p2 + p3)).

    `shared`, timing and flow are those of `Shell`.

    Ports
    -----
    acts: in, `Config.act_wires`, cycle t: normal codes (`Config.act_normal`), lane 0 in the low bits.
    weights: in, `lanes` times `Config.weight_wires`, cycle t: the wires of `Config.weight_digits`.
    group_end: in, 1, cycle t+1: the operands of cycle t were their group's last.
    acts_out, weights_out: out, cycle t+1: the operands, for the neighbours.
    group_end_out: out, 1, cycle t+2: `group_end`, for the right neighbour.
    sum: out, cycle t+2 of a group's last operands: a word of `total`, of which
        `mixpe.hw.fp.accumulate.to_float` makes FP32. It is zero if no group ended.
    """

    def __init__(self, config: Config, modules: Modules | None = None, shared: Collection[str] = ()):
        self.total = config.float_sum
        operands = {"acts": config.act_wires, "weights": config.lanes * config.weight_wires}
        super().__init__(config, operands, Shape(self.total.bits), self._step, modules, shared)

    def _step(self, m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        config = self.config
        products = [
            product(
                m,
                adders,
                config,
                held["acts"].word_select(lane, config.lane_wires),
                held["weights"].word_select(lane, config.weight_wires),
            )
            for lane in range(config.lanes)
        ]
        return add_all(m, adders, self.total, word, products, config.final_adder)


def product(m: Module, adders: Adders, config: Config, act: Value, weight: Value) -> Product:
    """Returns act * weight, exactly: a sum of shifted copies of the significand, one for each digit.

    `act`: a normal code. `weight`: the wires of `Config.weight_digits`.
    """
    form, digits, total = config.act_normal, config.weight_digits, config.float_sum
    f = form.fraction_bits
    choice_bits = sum(digits.digit_bits)
    shift = weight[choice_bits:-1]
    significand = named(m, Cat(act[:f], Const(1, 1)), name="operand")
    extra = digits.fraction_bits
    heap = BitHeap(2 + f + extra, adders)
    heap.add_word(act[:f], extra)
    heap.add_constant(1 << (f + extra))
    position = 0
    for index, choices in enumerate(digits.choices):
        bits = digits.digit_bits[index]
        code = weight[position : position + bits]
        position += bits
        column = extra - 3 - 2 * index
        chosen = [(value, adders.wire(code == place)) for place, value in enumerate(choices) if value]
        minus = [select for value, select in chosen if value < 0]
        negative = adders.wire(Cat(minus).any())
        width = f + 2
        for bit in range(width):
            terms = []
            for value, select in chosen:
                source = bit - (abs(value) == 2)
                own: Any = significand[source] if 0 <= source <= f else Const(0, 1)
                terms.append(select & (~own if value < 0 else own))
            heap.add(adders.wire(Cat(terms).any()), column + bit, _SELECTED)
        heap.add(negative, column)
        heap.subtract(negative, column + width)
    significand = named(m, heap.total(config.final_adder), name="significand")

    code = act[f:-1]
    exponent = named(
        m,
        (code + shift)[: max(len(code), (form.highest + form.offset + digits.bits - 1).bit_length())],
        name="exponent",
    )
    act_zero = named(m, ~code.any(), name="act_zero")
    weight_zero = named(m, weight[0] & ~shift.any(), name="weight_zero")
    special = named(m, code[-form.special_ones :].all(), name="special")
    nan = special & (act[f - 1] | weight_zero)
    product_special = special
    if total.overflow:
        # Products beyond the largest number are infinite before they are added.
        edge = total.code_max
        high = significand[-2:]
        product_special = named(
            m,
            special
            | (
                ~weight_zero
                & (
                    (exponent > edge + 1)
                    | ((exponent == edge + 1) & high.any())
                    | ((exponent == edge) & high[1])
                )
            ),
            name="product_special",
        )
    return Product(
        sign=named(m, act[-1] ^ weight[-1], name="sign"),
        code=exponent,
        significand=significand,
        zero=named(m, act_zero | weight_zero, name="zero"),
        special=product_special,
        nan=named(m, nan, name="nan"),
        offset=form.offset,
    )
