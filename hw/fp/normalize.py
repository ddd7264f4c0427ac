"""Parts that floating-point units share: registers, leading zeros, shifters, the final rounding.

Plain functions: each adds to a module what it needs and returns the value it computes.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike


def register(m: Module, value: ValueLike, *, name: str) -> Signal:
    """Returns `value` one cycle later. It is not reset: a datapath needs valid operands, not a reset tree."""
    value = Value.cast(value)
    q = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += q.eq(value)
    return q


def named(m: Module, value: ValueLike, *, name: str) -> Signal:
    """Returns `value` as a signal of its own."""
    value = Value.cast(value)
    s = Signal(value.shape(), name=name)
    m.d.comb += s.eq(value)
    return s


def leading_zeros(m: Module, value: Value, *, name: str) -> Value:
    """Returns the number of zero bits above the highest one of a non-zero `value`: a binary search.

    The count has `(len(value) - 1).bit_length()` bits; that of zero is undefined.
    """
    bits = (len(value) - 1).bit_length()
    # Ones fill up to a power of two below the value, where they do not count.
    rest = named(m, Cat(Const(-1, (1 << bits) - len(value)), value), name=f"{name}_of")
    count = []
    for k in reversed(range(bits)):
        upper, lower = rest[1 << k :], rest[: 1 << k]
        zero = named(m, ~upper.any(), name=f"{name}_{1 << k}")
        rest = named(m, Mux(zero, lower, upper), name=f"{name}_of_{1 << k}")
        count.append(zero)
    return Cat(*reversed(count))


def normalize(m: Module, value: Value, shifts: list[int], *, name: str) -> tuple[Value, Value]:
    """Shifts `value` left by each of `shifts` (descending powers of two) whose bits at the top are zero.

    Returns (shifted value, whether each shift was done, that of the last in bit 0). With
    all powers of two below the width, a non-zero value ends with its highest one at the top.
    """
    done = []
    for shift in shifts:
        zero = named(m, ~value[-shift:].any(), name=f"{name}_zero{shift}")
        value = named(m, Mux(zero, (value << shift)[: len(value)], value), name=f"{name}_shift{shift}")
        done.append(zero)
    return value, Cat(*reversed(done))


def powers_below(width: int) -> list[int]:
    """Returns the shifts that `normalize` needs for a value of `width` bits."""
    return [1 << k for k in reversed(range((width - 1).bit_length()))]


def shift_left(value: Value, amount: Value) -> Value:
    """Returns `value` shifted left by `amount`, in its own width."""
    return (value << amount)[: len(value)]


def shift_right_sticky(m: Module, value: Value, amount: Value, *, name: str) -> Value:
    """Returns `value` shifted right by `amount`; bit 0 is also set if a bit that left was."""
    for k in reversed(range(len(amount))):
        step = min(1 << k, len(value) - 1)
        shifted = Cat(value[: step + 1].any(), value[step + 1 :])
        value = named(m, Mux(amount[k], shifted, value), name=f"{name}_{1 << k}")
    return value


def add_carry(a: Value, b: Value, carry: Value) -> Value:
    """Returns `a + b + carry` in the width of `a`, as one adder: a bit below the lowest makes the carry."""
    return (Cat(Const(1, 1), a) + Cat(carry, b))[1 : len(a) + 1]


def round_and_pack(m: Module, exponent: Value, significand: Value, fraction_bits: int, *, name: str) -> Value:
    """Returns exponent and fraction fields, rounded to nearest, ties to even (IEEE 754-2008 clause 4.3.1).

    `significand` holds the integer bit at the top, `fraction_bits` below it, and at least a guard and
    a sticky bit below those. `exponent` is the integer bit's biased exponent, and becomes the
    field if that bit is set; otherwise the number is subnormal or zero, with field 0. The carry
    of the rounding reaches the field. Overflow is the caller's.
    """
    dropped = len(significand) - 1 - fraction_bits
    fraction, integer = significand[dropped:-1], significand[-1]
    up = significand[dropped - 1] & (significand[: dropped - 1].any() | fraction[0])
    fields = Cat(fraction, exponent & integer.replicate(len(exponent)))
    return named(m, (fields + up)[: len(fields)], name=name)
