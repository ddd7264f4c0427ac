"""Processing elements that multiply floating-point operands, in the shell of MixPE's
(`mixpe.hw.element.shell`).

W4A16 elements must beat these. Operands normalized at the array's edge, accumulators with the exponents that
their sums can have, and one path through alignment, addition and rounding are those of
`mixpe.hw.element.floating`.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from ...spec.array import Config
from ...spec.errors import UserError
from ...spec.formats.inside import AccumulatorFormat, NormalFormat, accumulator_format, recoded_bits
from ...spec.formats.numbers import FP32, FloatFormat
from ..arith.adders import Adders
from ..arith.heap import BitHeap
from ..element.shell import Shell
from ..fp.accumulate import add_all
from ..fp.addend import Product
from ..fp.normal import recoded
from ..fp.normalize import named, normalize, register
from ..modules import Modules
from .integer import WEIGHT_PORTS

FACTOR_PORTS = ("acts", "weights")
"""The operands that a multiply-add element multiplies. They come a cycle early if a register holds the
product."""

_GATE, _SELECTED = 0.25, 0.5  # arrival times, as in `mixpe.hw.element.datapath`


class FloatMacPE(Shell):
    """Accumulates weight * act in `out`, FP32 or FP16, of floating-point operands of `Config.act_float`.

    A product is exact, each sum rounded once, as by a fused multiply-add; with several lanes (FP32 only)
    as in `FloatIntPE`. A zero sum is +0.

    Latency and flow are those of `Shell`. `pipelined`: a register holds the products, and the operands come
    one cycle earlier. Raises `UserError` for several lanes with another `out` than FP32.

    Ports
    -----
    acts: in: normal codes (`Config.act_normal`), lane 0 in the low bits.
    weights: in: normal codes as `mixpe.hw.fp.normal.recoded` makes them, lane 0 in the low bits.
    sum: out: a word of `total`, of which `mixpe.hw.fp.accumulate.to_float` makes a code of `out`.
    The others are those of `Shell`.
    """

    def __init__(
        self,
        config: Config,
        modules: Modules | None = None,
        *,
        out: FloatFormat = FP32,
        pipelined: bool = False,
    ):
        if out != FP32 and config.lanes > 1:
            raise UserError(f"lanes must be 1 for a sum in {out}, not {config.lanes}")
        self.act = config.act_normal
        self.total = float_total(config, out)
        self.early = FACTOR_PORTS if pipelined else ()
        operands = {
            "acts": config.lanes * self.act.bits,
            "weights": config.lanes * recoded_bits(self.act),
        }
        super().__init__(config, operands, Shape(self.total.bits), self._step, modules)

    def _step(self, m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        acts, weights, final = held["acts"], held["weights"], self.config.final_adder
        products = []
        for lane in range(self.config.lanes):
            act = acts.word_select(lane, self.act.bits)
            weight = weights.word_select(lane, recoded_bits(self.act))
            product = multiplied(m, adders, act, weight, self.act, final)
            products.append(_registered(m, product, lane) if self.early else product)
        return add_all(m, adders, self.total, word, products, final)


def _registered(m: Module, product: Product, lane: int) -> Product:
    """Returns the product of the cycle before."""

    def held(value: Value, name: str) -> Signal:
        return register(m, value, name=f"product{lane}_{name}")

    return Product(
        sign=held(product.sign, "sign"),
        code=held(product.code, "code"),
        significand=held(product.significand, "significand"),
        zero=held(product.zero, "zero"),
        special=held(product.special, "special"),
        nan=held(product.nan, "nan"),
        offset=product.offset,
    )


class DequantizeFirstFloatPE(Shell):
    """Makes an FP16 weight of each 4-bit code first, RN16(scale * (code - zero)), then works as `FloatMacPE`.

    The sum is FP32. `pipelined`: a register holds the FP16 weights, and the operands named in `early` come
    one cycle before the activations that they meet. Raises `UserError` unless weights have 4 bits and
    activations are FP16.

    Ports
    -----
    acts: in: normal codes (`Config.act_normal`), lane 0 in the low bits.
    weights: in, 4 bits a lane: codes, plain binary.
    zeros: in, 4 bits: the zero point of the codes of the same cycle, plain binary, shared by all lanes.
    scales: in: the scale of the codes of the same cycle, a normal code, shared by all lanes.
    The others are those of `FloatMacPE`.
    """

    def __init__(self, config: Config, modules: Modules | None = None, *, pipelined: bool = False):
        if (config.weight_bits, config.act_format) != (4, "fp16"):
            raise UserError(
                "weight_bits and act_format must be 4 and fp16 to dequantize before multiplying, "
                f"not {config.weight_bits} and {config.act_format}"
            )
        self.act = config.act_normal
        self.total = float_total(config, FP32)
        operands = {
            "acts": config.lanes * self.act.bits,
            "weights": config.lanes * 4,
            "zeros": 4,
            "scales": self.act.bits,
        }
        self.early = WEIGHT_PORTS if pipelined else ()
        super().__init__(config, operands, Shape(self.total.bits), self._step, modules)

    def _step(self, m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        bits, final = self.act.bits, self.config.final_adder
        products = []
        for lane in range(self.config.lanes):
            code = held["weights"].word_select(lane, 4)
            weight = dequantized(m, adders, code, held["zeros"], held["scales"], self.act, final)
            if self.early:
                weight = register(m, weight, name=f"weight{lane}")
            act = held["acts"].word_select(lane, bits)
            digits = named(m, recoded(weight, self.act), name="digits")
            products.append(multiplied(m, adders, act, digits, self.act, final))
        return add_all(m, adders, self.total, word, products, final)


def float_total(config: Config, out: FloatFormat) -> AccumulatorFormat:
    """Returns the accumulator's format for sums in `out` of a group's products of two `Config.act_float`."""
    form = config.act_normal
    return accumulator_format(2 * form.offset, 2 * form.lowest, 2 * form.highest + 1, config.group, out)


def multiplied(m: Module, adders: Adders, a: Value, b: Value, form: NormalFormat, final: str) -> Product:
    """Returns a * b, of which b is `recoded`: it adds a multiple of a's significand for each digit."""
    f, ones, odd = form.fraction_bits, form.special_ones, form.fraction_bits % 2
    significand = named(m, Cat(a[:f], Const(1, 1)), name="operand")
    places = f + odd
    top, b_code = b[places], b[places + 1 : -1]
    heap = BitHeap(f + places + 2, adders)
    width = f + 2
    for place in range(0, places, 2):
        low, high = b[place], b[place + 1]
        single, double, minus = (adders.wire(x) for x in (low & ~high, high & ~low, low & high))
        for bit in range(width):
            own: Any = significand[bit] if bit <= f else Const(0, 1)
            chosen = (single & own) | (minus & ~own)
            if bit:
                chosen |= double & significand[bit - 1]
            heap.add(adders.wire(chosen), place + bit, _SELECTED)
        heap.add(minus, place)
        heap.subtract(minus, place + width)
    heap.add_word(named(m, Mux(top, significand << 1, significand), name="top_multiple"), places)
    product = named(m, heap.total(final), name="significand")
    a_zero = named(m, ~a[f:-1].any(), name="a_zero")
    b_zero = named(m, ~b_code.any(), name="b_zero")
    a_special = named(m, a[f:-1][-ones:].all(), name="a_special")
    b_special = named(m, b_code[-ones:].all(), name="b_special")
    nan = (a_special & (a[f - 1] | b_zero)) | (b_special & (top | a_zero))
    return Product(
        sign=named(m, a[-1] ^ b[-1], name="sign"),
        code=named(m, a[f:-1] + b_code, name="exponent"),
        significand=product,
        zero=named(m, a_zero | b_zero, name="zero"),
        special=named(m, a_special | b_special, name="special"),
        nan=named(m, nan, name="nan"),
        offset=2 * form.offset,
    )


def dequantized(
    m: Module, adders: Adders, code: Value, zero: Value, scale: Value, form: NormalFormat, final: str
) -> Value:
    """Returns scale * (code - zero) as a code of `form`, rounded to the floating-point format behind it."""
    f = form.fraction_bits
    difference = named(m, (code - zero)[:5], name="difference")
    negative = difference[-1]
    steps = named(m, ((difference[:4] ^ negative.replicate(4)) + negative)[:4], name="steps")
    normal, lower = normalize(m, steps, [2, 1], name="steps_normal")
    heap = BitHeap(f + 5, adders)
    heap.add_word(scale[:f], 3)
    heap.add_constant(1 << (f + 3))
    for row in range(3):
        for column in range(f):
            heap.add(adders.wire(normal[row] & scale[column]), row + column, _GATE)
        heap.add(normal[row], row + f)
    product = named(m, heap.total(final), name="dequantized")
    high = product[-1]
    # One integer bit, which is not kept, and four bits that are dropped.
    shifted = named(m, Mux(high, product, Cat(Const(0, 1), product[:-1])), name="shifted")
    kept, guard, rest = shifted[4:-1], shifted[3], shifted[:3]
    rounded = named(
        m, kept + named(m, guard & (kept[0] | rest.any()), name="round_up"), name="weight_rounded"
    )
    total = BitHeap(form.exponent_bits + 1, adders)
    total.add_word(scale[f:-1])
    for column, bit in enumerate(lower):
        total.subtract(bit, column)
    total.add_constant(3)
    total.add(high, 0)
    total.add(rounded[-1], 0, 9.0)
    exponent = named(m, total.total(), name="weight_exponent")
    scale_special = named(m, scale[f:-1][-form.special_ones :].all(), name="scale_special")
    infinite = named(m, scale_special | (exponent > form.highest + form.offset), name="weight_special")
    nonzero = named(m, normal[-1] & scale[f:-1].any(), name="weight_nonzero")
    nan = scale_special & (scale[f - 1] | ~normal[-1])
    special = named(m, scale_special | (infinite & nonzero), name="weight_infinite")
    return named(
        m,
        Cat(
            rounded[: f - 1],
            Mux(special, nan, rounded[f - 1]),
            (exponent[:-1] & nonzero.replicate(form.exponent_bits)) | special.replicate(form.exponent_bits),
            scale[-1] ^ negative,
        ),
        name="weight_word",
    )
