"""Accumulation in a format of IEEE 754 itself, with subnormal numbers: a fused multiply-add's second half."""

from amaranth.hdl import Cat, Const, Module, Mux, Value

from ...spec.formats.inside import AccumulatorFormat
from ..arith.adders import Adders
from ..arith.heap import BitHeap
from .addend import Product
from .normalize import leading_zeros, named


def fused_add(
    m: Module, adders: Adders, form: AccumulatorFormat, word: Value, product: Product, final: str
) -> Value:
    """Returns the word of `word` + `product`, rounded once, for a `subnormal` form. Combinational."""
    f = form.fraction_bits
    fraction, code, sign = word[:f], word[f:-1], word[-1]
    nonzero = named(m, code.any(), name="nonzero")
    acc_special = named(m, code[-form.special_ones :].all(), name="acc_special")
    differ = named(m, sign ^ product.sign, name="differ")
    code_product = named(m, product.code - (product.offset - form.offset), name="code_product")
    code = Cat(code[0] | ~nonzero, code[1:])

    # Which is larger? Where the accumulator is, the product is shifted by one bit at once, then by the ones'
    # complement of the difference.
    apart = named(m, (code_product - code).as_signed(), name="apart")
    below = apart[-1]
    swap = named(m, below | product.zero, name="swap")
    width = max(f + 3, product.fraction_bits + 2)
    acc_frame = Cat(Const(0, width - f), fraction, nonzero)
    product_frame = Cat(Const(0, width - product.fraction_bits), product.significand)
    bits = (width + 1).bit_length()
    amount = named(m, apart[:bits] ^ below.replicate(bits), name="amount")
    far = named(m, (apart[bits:-1] ^ below.replicate(len(apart) - 1 - bits)).any(), name="far")
    large = named(m, Mux(swap, acc_frame, product_frame), name="large")
    from_product = named(m, swap & ~far & ~product.zero, name="from_product")
    from_acc = named(m, ~swap & ~far, name="from_acc")
    small = named(
        m,
        (product_frame[1:] & from_product.replicate(width + 1)) | (acc_frame & from_acc.replicate(width + 1)),
        name="small",
    )
    lost: Value = far & ~product.zero & (nonzero | swap | fraction.any())
    aligned = small
    for k in reversed(range(bits)):
        lost = named(m, lost | (amount[k] & aligned[: 1 << k].any()), name=f"lost{1 << k}")
        aligned = named(m, Mux(amount[k], aligned[1 << k :], aligned), name=f"align{1 << k}")
    aligned = Cat(aligned[0] | lost, aligned[1:])

    # Add or subtract; the sticky bit is one of a negative difference, too.
    heap = BitHeap(width + 3, adders)
    for column in range(width + 2):
        if column >= width - max(f, product.fraction_bits):
            heap.add(large[column], column)
    heap.add_word(named(m, Cat(aligned, Const(0, 2)) ^ differ.replicate(width + 3), name="addend"))
    heap.add(differ, 0)
    total = named(m, heap.total(final), name="total")
    negative = named(m, total[-1] & differ, name="negative")
    # |total| is one more than its inverse, whose bits shifted in are ones: the rounding adds that.
    magnitude = named(m, total ^ negative.replicate(len(total)), name="magnitude")

    top = named(m, Mux(swap, code, code_product)[: form.exponent_bits + 1], name="top")
    limit = named(m, Const(1 << (width + 1), width + 3) >> top, name="limit")
    normal, zeros = _normalize(m, magnitude, negative, limit)
    found = named(m, normal[-1], name="found")
    dropped = width + 2 - f
    kept, guard, rest = normal[dropped:-1], normal[dropped - 1], normal[: dropped - 1]
    up = Mux(negative, guard | (kept[0] & rest.all()), guard & (kept[0] | rest.any()))
    rounded = named(m, kept + named(m, up, name="up"), name="rounded")

    exponent = BitHeap(len(top), adders)
    exponent.add_word(top)
    for column, zero in enumerate(zeros):
        exponent.subtract(zero, column)
    exponent.add_constant(2)
    code_out = (exponent.total(final) & found.replicate(len(top))) + rounded[-1]
    code_out = named(m, code_out[: len(top)], name="code_out")

    special = acc_special | product.special
    infinite = named(m, code_out > form.code_max, name="infinite")
    special_out = named(m, special | infinite, name="special_out")
    nan = product.nan | (acc_special & (fraction[-1] | (product.special & differ)))
    # Products may be larger than infinity's code.
    sign_out = Mux(acc_special, sign, Mux(swap, sign, product.sign) ^ negative)
    sign_out = Mux(product.special, product.sign, sign_out)
    ones = form.special_ones
    code_out = code_out[: form.exponent_bits]
    return named(
        m,
        Cat(
            rounded[: f - 1],
            Mux(special, nan, rounded[f - 1] & ~infinite),
            code_out[:-ones],
            code_out[-ones:] | special_out.replicate(ones),
            sign_out,
        ),
        name="next",
    )


def _normalize(m: Module, value: Value, fill: Value, limit: Value) -> tuple[Value, Value]:
    """Shifts the highest one of `value` to the top, and `fill` in behind; returns that, and by how much.

    `limit` has a single one, and the shift goes no further than would bring that to the top.
    """
    steps = [1 << k for k in reversed(range((len(value) - 1).bit_length()))]
    zeros = named(m, leading_zeros(m, value | limit, name="zeros"), name="count")
    for step, zero in zip(steps, reversed(zeros), strict=True):
        shifted = Cat(fill.replicate(step), value[:-step])
        value = named(m, Mux(zero, shifted, value), name=f"shift{step}")
    return value, zeros
