"""Floating-point accumulation with exact products, each sum rounded to nearest, ties to even.

There is one path for all sums: align the operand of the smaller exponent, add, normalize, round. It follows
IEEE 754-2008 clauses 4.3.1, 5.4.1, 6.1 to 6.3 and 7.4.

Between sums a number stays in a format of the accumulator's own (`AccumulatorFormat`). Its exponents are
coarse: a step of the exponent code is four binary places, and the leading one may stand in any of four places
of the significand. So the loop from sum to sum has no shifts by one or two places. They happen once for each
product, and once when a group's sum leaves.

An example, with three fraction bits (four significant bits) and offset 0. The word holds 5; it has code 0 and
the significand 0101.000, whose leading one stands in the third place. The product 88 = 1.011 * 2**6 comes.

1. `_coarse` shifts the product by the low two bits of its exponent 6 = 4 * 1 + 2. It becomes 0101.100 with
code 1. 2. The codes differ by one step, so the accumulator is shifted right by four places, to 0000.0101. A
sticky bit notes
   whether a one falls out at the low end; none does.
3. The sum is 0101.1101 with code 1, which is 93. Its leading one is in one of the upper four places, so that
it
   needs no shift.
4. The sum is rounded where its leading one says. Four significant bits end behind 0101.1, and what follows,
0.0101,
   is more than half of the last one. So it becomes 0110.000, which is 96. (With three fraction bits 88 and 96
   are the neighbours of 93.)

A difference may be negative where no operand was shifted. Then its bits are inverted, and the rounding adds
the one that the two's complement lacks.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Value

from ...spec.formats.inside import POSITIONS, AccumulatorFormat
from ..arith.adders import Adders
from ..arith.heap import BitHeap
from .addend import Addend, Product
from .fused import fused_add
from .normalize import named, normalize, powers_below

_FINE = (POSITIONS - 1).bit_length()  # low bits of a product's code
_LATE = 9.0  # arrival of a carry out of the rounding, as in `mixpe.hw.arith.heap`


def _coarse(m: Module, product: Product) -> Addend:
    """Returns `product` shifted by the low bits of its code: significand * 2**(POSITIONS * code - offset).

    Its significand has POSITIONS + 1 integer bits, then fraction bits, as of every coarse addend here.
    """
    significand = product.significand
    for k in range(_FINE):
        zeros = Const(0, 1 << k)
        shifted = Mux(product.code[k], Cat(zeros, significand), Cat(significand, zeros))
        significand = named(m, shifted, name=f"fine{1 << k}")
    return Addend(product.sign, product.code[_FINE:], significand, product.zero, product.special, product.nan)


def _accumulate(
    m: Module, adders: Adders, form: AccumulatorFormat, word: Value, addend: Addend, final: str
) -> Value:
    """Returns the word of `word` + `addend`, rounded once. Combinational."""
    f, size = form.fraction_bits, form.significand_bits
    kept, code, sign = word[:size], word[size:-1], word[-1]
    addend_fraction = len(addend.significand) - POSITIONS - 1
    acc_special = named(m, code[-form.special_ones :].all(), name="acc_special")
    differ = named(m, sign ^ addend.sign, name="differ")

    # Which is larger? Where the accumulator is, the addend is shifted by a position of codes at once, then by
    # the ones' complement of the difference.
    apart = named(m, (addend.code - code).as_signed(), name="apart")
    below = apart[-1]
    swap = named(m, below | addend.zero, name="swap")
    width = max(f + 3, addend_fraction + POSITIONS)  # of the fraction; the lowest bit is sticky
    acc_frame = Cat(Const(0, width - f), kept)
    addend_frame = Cat(Const(0, width - addend_fraction), addend.significand)
    bits = (width // POSITIONS).bit_length()
    amount = named(m, apart[:bits] ^ below.replicate(bits), name="amount")
    more = apart[bits:-1] ^ below.replicate(len(apart) - 1 - bits) if len(apart) > bits + 1 else Const(0, 1)
    far = named(m, more.any(), name="far")
    large = named(m, Mux(swap, acc_frame, addend_frame), name="large")
    from_addend = named(m, swap & ~far & ~addend.zero, name="from_addend")
    from_acc = named(m, ~swap & ~far, name="from_acc")
    frame = width + POSITIONS
    aligned = named(
        m,
        (addend_frame[POSITIONS:] & from_addend.replicate(width + 1))
        | (acc_frame & from_acc.replicate(frame)),
        name="small",
    )
    lost: Value = far & ~addend.zero & (swap | kept[-POSITIONS:].any())
    for k in reversed(range(bits)):
        step = POSITIONS << k
        lost = named(m, lost | (amount[k] & aligned[:step].any()), name=f"lost{step}")
        aligned = named(m, Mux(amount[k], aligned[step:], aligned), name=f"align{step}")
    aligned = Cat(aligned[0] | lost, aligned[1:])

    # Add or subtract. A difference is negative only if nothing was shifted out; then it has no bits below
    # `low`, and less than 2**POSITIONS.
    heap = BitHeap(frame + 2, adders)
    for column in range(width - max(f, addend_fraction), frame + 1):
        heap.add(large[column], column)
    heap.add_word(named(m, Cat(aligned, Const(0, 2)) ^ differ.replicate(frame + 2), name="addend"))
    heap.add(differ, 0)
    total = named(m, heap.total(final), name="total")
    negative = named(m, total[-1] & differ, name="negative")
    # |total| is one more than its inverse; the rounding adds that, as bits shifted in are ones.
    low = width - f - 1
    magnitude = Cat(
        total[:low] | negative.replicate(low),
        total[low:-2] ^ negative.replicate(frame - low),
        total[-2:] & ~negative.replicate(2),
        Const(0, POSITIONS - 2),
    )
    normal = named(m, magnitude, name="magnitude")
    counts = []
    for k in reversed(range(bits)):
        step = POSITIONS << k
        zero = named(m, ~normal[-step:].any(), name=f"zero{step}")
        shifted = Cat(negative.replicate(step), normal[:-step])
        normal = named(m, Mux(zero, shifted, normal), name=f"shift{step}")
        counts.insert(0, zero)

    # Round where the leading one says. Bits below the last one kept are filled with ones, to carry.
    base = len(normal) - size
    leads = [named(m, normal[base + f + q :].any(), name=f"leads{q}") for q in range(POSITIONS)]
    beyond = [*leads[1:], Const(0)]
    first = [named(m, leads[q] & ~beyond[q], name=f"first{q}") for q in range(POSITIONS)]
    guard = named(m, Cat(first[q] & normal[base + q - 1] for q in range(POSITIONS)).any(), name="guard")
    last = Cat(first[q] & normal[base + q] for q in range(POSITIONS)).any()
    upper = Cat(leads[q] & normal[base + q - 2] for q in range(1, POSITIONS))
    rest = normal[: base - 1].any() | upper.any()
    up = guard & (last | rest)
    if addend_fraction == f:
        # A negative sum of two words may be inexact: the one that its inverse lacks comes before rounding.
        holes = ~normal[: base - 1].all()
        for q in range(1, POSITIONS):
            holes |= leads[q] & ~normal[base + q - 2]
        up = Mux(negative, guard | (last & ~holes), up)
    above = Cat(*leads[1:], Const(0, size - POSITIONS + 1))
    rounded = named(m, (normal[base:] | above) + named(m, up, name="up"), name="rounded")
    carry = rounded[-1]
    significand = named(m, (rounded[:-1] & ~above) | Cat(Const(0, f), carry), name="significand")

    top = named(m, Mux(swap, code, addend.code)[: form.exponent_bits], name="top")
    exponent = BitHeap(len(top), adders)
    exponent.add_word(top)
    for column, zero in enumerate(counts):
        exponent.subtract(zero, column)
    exponent.add_constant(1)
    exponent.add(carry, 0, _LATE)
    code_out = named(m, exponent.total(final) & leads[0].replicate(len(top)), name="code_out")

    special = named(m, acc_special | addend.special, name="special_in")
    infinite: Value = Const(0)
    if form.overflow:
        edge, position = divmod(form.code_max + 1, POSITIONS)
        over = (code_out == edge) & significand[f + position :].any()
        infinite = named(m, (code_out > edge) | over, name="infinite")
    special_out = named(m, special | infinite, name="special_out")
    nan = addend.nan | (acc_special & (kept[-1] | (addend.special & differ)))
    ones = form.special_ones
    return named(
        m,
        Cat(
            significand[:-1],
            Mux(special, nan, significand[-1] & ~infinite),
            code_out[:-ones],
            code_out[-ones:] | special_out.replicate(ones),
            Mux(addend.special, addend.sign, Mux(swap, sign, addend.sign) ^ (negative & ~acc_special)),
        ),
        name="next",
    )


def _word(m: Module, form: AccumulatorFormat, addend: Addend) -> Value:
    """Returns the word of an addend that is a number of `form.out`."""
    number = named(m, ~addend.zero, name="number")
    spare = form.fraction_bits + POSITIONS - (len(addend.significand) - POSITIONS - 1)
    wide = named(
        m, Cat(Const(0, spare), addend.significand & number.replicate(len(addend.significand))), name="wide"
    )
    high, unit = wide[-1], wide[-POSITIONS - 1 : -1].any()
    size = form.significand_bits
    middle = wide[POSITIONS:-1]
    upper = Cat(wide[2 * POSITIONS :], Const(0, POSITIONS - 1))
    significand = named(m, Mux(high, upper, Mux(unit, middle, wide[:size])), name="unpacked")
    code = (addend.code + Mux(high, 1, Mux(unit, 0, -1)))[: form.exponent_bits]
    return named(
        m,
        Cat(
            significand[:-1],
            Mux(addend.special, addend.nan, significand[-1]),
            (code & number.replicate(len(code))) | addend.special.replicate(len(code)),
            addend.sign,
        ),
        name="product_word",
    )


def _addend(m: Module, form: AccumulatorFormat, word: Value) -> Addend:
    """Returns the addend that `word` stands for."""
    significand, code = word[: form.significand_bits], word[form.significand_bits : -1]
    special = named(m, code[-form.special_ones :].all(), name="special")
    return Addend(
        sign=word[-1],
        code=code,
        significand=Cat(significand, Const(0, 1)),
        zero=named(m, ~(significand[-POSITIONS:].any() | special), name="zero"),
        special=special,
        nan=named(m, special & significand[-1], name="nan"),
    )


def add_all(
    m: Module,
    adders: Adders,
    form: AccumulatorFormat,
    word: Value,
    products: Sequence[Product],
    final: str = "ripple",
) -> Value:
    """Returns the word of `word` plus the products of a cycle, which are added first, as a balanced tree.

    Every sum is rounded. One product is added as it is, exactly; several must be numbers of `form.out`, and
    `form` not `subnormal`. `final`: what ends wide sums (`BitHeap.total`).
    """
    if form.subnormal:
        (product,) = products
        return fused_add(m, adders, form, word, product, final)
    addends = [_coarse(m, product) for product in products]

    def total(part: Sequence[Addend]) -> Value:
        """Returns the word of two addends or more."""
        half = len(part) // 2
        if half == 1:
            return _accumulate(m, adders, form, _word(m, form, part[0]), part[1], final)
        return _accumulate(m, adders, form, total(part[:half]), _addend(m, form, total(part[half:])), final)

    addend = addends[0] if len(addends) == 1 else _addend(m, form, total(addends))
    return _accumulate(m, adders, form, word, addend, final)


def to_float(m: Module, form: AccumulatorFormat, word: Value) -> Value:
    """Returns the code of `form.out` that `word` stands for; zero is +0, NaN canonical."""
    out, f, size = form.out, form.fraction_bits, form.significand_bits
    significand, code, sign = word[:size], word[size:-1], word[-1]
    special = named(m, code[-form.special_ones :].all(), name="special")
    nan = named(m, special & significand[-1], name="nan")
    if form.subnormal:
        number = word[:-1]
        nonzero = named(m, number.any(), name="nonzero")
    else:
        normal, zeros = normalize(m, significand, powers_below(POSITIONS), name="drain")
        nonzero = normal[-1]
        shift = form.offset - out.bias
        fine = named(m, Cat(~zeros, code), name="fine_code")
        number = Cat(normal[POSITIONS - 1 : -1], (fine - shift)[: out.exponent_bits])
        if shift > 0:  # some codes are those of subnormal numbers
            tiny = named(m, fine <= shift, name="tiny")
            below = named(m, (shift + 1 - fine)[: shift.bit_length()], name="below")
            short = named(m, normal[POSITIONS - 1 :] >> below, name="short")
            number = Mux(tiny, short[:f], number)
    infinity = Const(out.infinity, out.bits - 1)
    value = Mux(special, infinity, number & nonzero.replicate(out.bits - 1))
    return Mux(nan, Const(out.nan, out.bits), Cat(value, sign & (nonzero | special)))
