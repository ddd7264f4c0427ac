"""Processing elements after other people's ideas, in the shell of MixPE's (`mixpe.hw.element.shell`).

They differ from it in how they multiply, and in nothing else: operand registers that pass operands on, a
group's end one cycle behind its operands, an accumulator that is cleared and drained by gates, one-bit adders
in bit heaps. So comparisons are of ideas and not of craft.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from ...spec.array import Config
from ...spec.errors import UserError
from ..arith.adders import Adders
from ..arith.heap import BitHeap
from ..element.datapath import STRATEGIES
from ..element.integer import drain_shape, recoded_weights
from ..element.shell import Shell
from ..modules import Modules

ZERO_BITS = 4
"""The width of a group's zero point in `DequantizeFirstPE`: plain binary, as its weight codes are."""
SCALE_BITS = 4
"""The width of a group's integer scale there, plain binary. Quantization from least to greatest uses codes 0
and 15, of which one is at least 8 from the zero point; an INT8 weight then leaves scales of at most 15."""

WEIGHT_PORTS = ("weights", "zeros", "scales")
"""The operands of which an element that dequantizes first makes a weight. They come a cycle early if a
register holds the weight."""

_BRICK = 4  # bits of a brick's operands

# Arrival times, as in `mixpe.hw.element.datapath`.
_GATE, _SELECTED, _BRICK_SUM, _PAIR_SUM = 0.25, 0.5, 4.0, 8.0


class DequantizeFirstPE(Shell):
    """Dequantizes each W4A8 weight before it multiplies, as DGQ does (arXiv 2310.04836, dual-grained).

    There a group has an integer scale s and a zero point z, a channel has a floating-point scale: an INT4
    code q becomes the INT8 weight s*(q - z), which an INT8 matrix multiplication takes; groups of one
    channel then share a sum. Here the element does it: P = sum(s*(q - z)*act), exact while s*(q - z) is -128
    to 127, as quantization sees to; else it wraps.

    Latency and flow are those of `ArrayElement`.

    `config`: weight_bits is 4; datapath: of the INT8 multiplication ("booth" recodes in the element); group:
    products of one sum, for DGQ those of a channel. `pipelined`: a register holds the INT8 weights, and
    `weights`, `zeros` and `scales` come one cycle before the activations that they meet. Raises `UserError`
    if weight_bits is not 4.

    Ports
    -----
    acts: in, `lanes` times `Config.act_bits`: activations, lane 0 in the low bits.
    weights: in, 4 bits a lane: the codes q, plain binary.
    zeros: in, `ZERO_BITS`: z of the codes of the same cycle, plain binary, shared by all lanes. It travels
        with the weights, which holds it where it is needed without an enable.
    scales: in, `SCALE_BITS`: s of the codes of the same cycle, likewise.
    The others are those of `ArrayElement`.
    """

    def __init__(self, config: Config, modules: Modules | None = None, *, pipelined: bool = False):
        if config.weight_bits != 4:
            raise UserError(
                f"weight_bits must be 4 to dequantize before multiplying, not {config.weight_bits}"
            )
        operands = {
            "acts": config.lanes * config.act_bits,
            "weights": config.lanes * config.weight_bits,
            "zeros": ZERO_BITS,
            "scales": SCALE_BITS,
        }
        self.early = WEIGHT_PORTS if pipelined else ()
        self.total = replace(config, weight_bits=8, weight_signed=True)
        super().__init__(config, operands, drain_shape(self.total), self._step, modules)

    def _step(self, m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        pairs = []
        for lane in range(self.config.lanes):
            code = held["weights"].word_select(lane, self.config.weight_bits)
            weight = _dequantized(adders, code, held["zeros"], held["scales"], self.config.final_adder)
            if self.early:
                register = Signal(len(weight), name=f"weight{lane}", reset_less=True)
                m.d.sync += register.eq(weight)
                weight = register
            act = held["acts"].word_select(lane, self.config.act_bits).as_signed()
            pairs.append((adders.wire(recoded_weights(self.total, weight)), act))
        return STRATEGIES[self.total.datapath](self.total, adders, word, pairs)


def _dequantized(adders: Adders, code: Value, zero: Value, scale: Value, final: str) -> Value:
    """Returns scale * (code - zero), 8 bits."""
    difference = BitHeap(len(code) + 1, adders)
    difference.add_word(code)
    for column, bit in enumerate(zero):
        difference.subtract(bit, column)
    steps = difference.total(final)
    product = BitHeap(8, adders)
    for row, scale_bit in enumerate(scale):
        for column, bit in enumerate(steps):
            add = product.subtract if column == len(code) else product.add
            add(adders.wire(bit & scale_bit), row + column, column + _GATE)
    return adders.wire(product.total(final))


class BitFusionPE(Shell):
    """Fuses four 4x4 multipliers ("bricks") into larger ones, after Bit Fusion (arXiv 1712.01507).

    Products per cycle: one 8x8, two 4x8 or 8x4, four 4x4, all signed. All enter one sum, which is wide enough
    for `config.group` cycles of 8x8. Latency and flow are those of `ArrayElement`.

    `config`: weight_bits and act_bits are 8, lanes 1; the datapath only says how sums end. Raises `UserError`
    for other widths.

    Ports
    -----
    acts, weights: in, 16 bits: brick b's operands in bits 4*b and up, as `fusion_operands` packs them. An
        operand that several bricks need is repeated, which spares the element all choosing of operands. Four
        products of 4x4 need 16 bits of weights, so that other modes lose nothing.
    modes: in, 2 bits: what the operands of the same cycle are (`fusion_mode`). Bit 0: weights have 4 bits,
        else 8. Bit 1: activations have 4, else 8.
    The others are those of `ArrayElement`, with `modes_out`.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        if (config.weight_bits, config.act_bits, config.lanes) != (8, 8, 1):
            raise UserError(
                "weight_bits, act_bits and lanes must be 8, 8 and 1 for fused bricks, "
                f"not {config.weight_bits}, {config.act_bits} and {config.lanes}"
            )
        # Saved carries are no part of the idea.
        self.total = replace(config, datapath="bit_heap") if config.datapath == "carry_save" else config
        operands = {"acts": 16, "weights": 16, "modes": 2}
        super().__init__(config, operands, drain_shape(self.total), self._step, modules)

    def _step(self, _m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        acts, weights = (
            [held[name].word_select(b, _BRICK) for b in range(4)] for name in ("acts", "weights")
        )
        # A 4-bit operand is signed, as is the upper half of one of 8 bits; the lower half of that is not.
        short_weights, short_acts = held["modes"]
        final = self.config.final_adder

        heap = BitHeap(self.total.sum_bits, adders)
        heap.add_word(word, arrival=_GATE)
        _add_brick(heap, adders, weights[0], acts[0], short_weights, short_acts)
        brick = BitHeap(2 * _BRICK, adders)
        _add_brick(brick, adders, weights[1], acts[1], short_weights, None)
        heap.add_word(_moved(adders, brick.total(final), short_acts), arrival=_BRICK_SUM, is_signed=True)
        # The other pair, which the upper half of an 8-bit weight moves.
        brick = BitHeap(2 * _BRICK, adders)
        _add_brick(brick, adders, weights[3], acts[3], None, None)
        pair = BitHeap(3 * _BRICK, adders)
        _add_brick(pair, adders, weights[2], acts[2], None, short_acts)
        pair.add_word(_moved(adders, brick.total(final), short_acts), arrival=_BRICK_SUM, is_signed=True)
        heap.add_word(_moved(adders, pair.total(final), short_weights), arrival=_PAIR_SUM, is_signed=True)
        return heap.total(final)


def _add_brick(
    heap: BitHeap,
    adders: Adders,
    weight: Value,
    act: Value,
    weight_signed: Value | None,
    act_signed: Value | None,
) -> None:
    """Adds weight * act, four bits each, signed where the wire is high (None: always).

    This is Baugh and Wooley's way (1973): what has negative place value is added inverted, less a constant.
    The constants of a sign that varies, summed up, are two wires in the heap.
    """
    top = _BRICK - 1
    for row, weight_bit in enumerate(weight):
        for column, act_bit in enumerate(act):
            product, place = adders.wire(weight_bit & act_bit), row + column
            signs = ([weight_signed] if row == top else []) + ([act_signed] if column == top else [])
            for sign in signs:
                product = ~product if sign is None else product ^ sign
            heap.add(adders.wire(product), place, _SELECTED if signs else _GATE)
    # A signed operand costs 2**top - 2**(2*top), the corner another 2**(2*top) if just one is signed.
    for sign in (weight_signed, act_signed):
        if sign is None:
            heap.add_constant(1 << top)
        else:
            heap.add(sign, top)
    if weight_signed is None or act_signed is None:
        heap.add_constant(-1 << (2 * top + 1))
    else:
        heap.subtract(weight_signed | act_signed, 2 * top + 1)


def _moved(adders: Adders, value: Value, stays: Value) -> Value:
    """Returns the signed `value`, times 16 unless it `stays`, four bits wider."""
    extended = Cat(value, value[-1].replicate(_BRICK))
    return Cat(
        adders.wire(Mux(stays, extended[index], value[index - _BRICK] if index >= _BRICK else 0))
        for index in range(len(extended))
    )


def fusion_mode(weight_bits: int, act_bits: int) -> int:
    """Returns the word of `modes` for products of these operands.

    Raises `UserError` unless each has 4 or 8 bits.
    """
    for name, bits in (("weight_bits", weight_bits), ("act_bits", act_bits)):
        if bits not in (4, 8):
            raise UserError(f"{name} must be 4 or 8 for fused bricks, not {bits}")
    return (weight_bits == 4) + 2 * (act_bits == 4)


def fusion_products(weight_bits: int, act_bits: int) -> int:
    """Returns the products per cycle of `BitFusionPE`: 1, 2 or 4."""
    return (1, 2, 2, 4)[fusion_mode(weight_bits, act_bits)]


def fusion_operands(
    weight_bits: int, act_bits: int, weights: Sequence[int], acts: Sequence[int]
) -> tuple[int, int]:
    """Packs one cycle's operands of `BitFusionPE`; returns the words of `weights` and `acts`.

    Raises `UserError` unless there are as many weights, and as many activations, as products.
    """
    products = fusion_products(weight_bits, act_bits)
    if not len(weights) == len(acts) == products:
        raise UserError(f"weights and acts must be {products}, not {len(weights)} and {len(acts)}")
    packed = [0, 0]
    for brick in range(4):
        weight_half, act_half = divmod(brick, 2)  # of an 8-bit operand
        product = (weight_half if weight_bits == 4 else 0) * (2 if act_bits == 4 else 1)
        product += act_half if act_bits == 4 else 0
        for index, (values, bits, half) in enumerate(
            ((weights, weight_bits, weight_half), (acts, act_bits, act_half))
        ):
            nibble = (values[product] >> (_BRICK * half if bits == 8 else 0)) & 15
            packed[index] |= nibble << (_BRICK * brick)
    return packed[0], packed[1]
