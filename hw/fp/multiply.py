"""The multiplier: FP32, FP16 or BF16 operands, FP32 product, scaled by a power of two if asked."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.errors import UserError
from ...spec.formats.numbers import FP16, FP32, OUT_FORMATS, FloatFormat
from ...spec.stages import MULTIPLY_STAGES
from ..ports import Component
from .convert import INTEGER_BITS
from .normalize import named, normalize, powers_below, register, round_and_pack, shift_right_sticky

_FRACTION = FP32.fraction_bits
_SHIFT_BITS = 5  # a shift by 26 already leaves only the sticky bit


@dataclass(frozen=True)
class Power:
    """Describes a factor 2**(power - offset); `power` is an unsigned operand of `bits` bits, not 0."""

    bits: int
    offset: int


class FloatMultiplier(Component):
    """Computes `a * b`, and times a power of two if asked, as one correctly rounded FP32 product.

    The operands are widened exactly. This is IEEE 754-2008 clause 5.4.1 (multiplication): rounded to nearest,
    ties to even; subnormals in and out, overflow to infinity (clause 7.4), the sign of zero and infinity
    (clause 6.3); 0 * inf and every NaN give the canonical NaN (clauses 6.2 and 7.2). One result per cycle, no
    flow control.

    Parameters
    ----------
    a_format, b_format: any of FP32, FP16 and BF16.
    a_integer: None, or a width w of 2 to 64, if `a` is FP32 and always what `IntToFloat(w)` gives; `b` must
        be FP16. Logic for products that this rules out is left out.
    power: None, or the factor's range; with one, an integer `a` may be infinite or NaN as well.
    exponent: of a constant factor 2**exponent of the product, which costs nothing.

    Raises `UserError` for any other.

    Ports
    -----
    a: in, cycle t: a code of `a_format`.
    b: in, cycle t: a code of `b_format`.
    power: in, `Power.bits`, cycle t: the factor's operand; only there with `power`.
    o: out, 32 bits, cycle t + `MULTIPLY_STAGES`: the FP32 code of the product.
    """

    latency = MULTIPLY_STAGES

    def __init__(
        self,
        a_format: FloatFormat = FP32,
        b_format: FloatFormat = FP32,
        *,
        a_integer: int | None = None,
        power: Power | None = None,
        exponent: int = 0,
    ):
        for name, value in (("a_format", a_format), ("b_format", b_format)):
            if value not in OUT_FORMATS.values():
                raise UserError(f"{name} must be one of {', '.join(OUT_FORMATS)}, not {value!r}")
        if a_integer is not None and (a_format, b_format) != (FP32, FP16):
            raise UserError(f"a_integer needs a_format FP32 and b_format FP16, not {a_format} and {b_format}")
        if a_integer is not None and not 2 <= a_integer <= INTEGER_BITS:
            raise UserError(f"a_integer must be 2 to {INTEGER_BITS}, not {a_integer!r}")
        self.a_integer = a_integer
        self.a_format = a_format
        self.b_format = b_format
        self.factor = power
        self.exponent = exponent
        ports = {"a": In(a_format.bits), "b": In(b_format.bits), "o": Out(FP32.bits)}
        super().__init__(ports | ({"power": In(power.bits)} if power else {}))

    @property
    def _always_normal(self) -> bool:
        """Whether every product but zero is a normal number of FP32."""
        if self.a_integer is None:
            return False
        # Exponents of an integer, of FP16, of the power; a product of significands is below 4.
        low, high = -14 - FP16.fraction_bits + self.exponent, self.a_integer - 1 + 15 + 1 + self.exponent
        if self.factor:
            low, high = low + 1 - self.factor.offset, high + (1 << self.factor.bits) - 1 - self.factor.offset
        return low > -FP32.bias and high <= FP32.bias

    def elaborate(self, platform) -> Module:
        m = Module()

        # 1: normalize the significands of subnormal operands.
        normal = self._always_normal
        integer = self.a_integer
        if integer is None:
            a = _Operand(m, self.a, self.a_format, "a")
        else:
            a = _Integer(self.a, integer, specials=self.factor is not None)
        b = _Operand(m, self.b, self.b_format, "b")
        sign1 = register(m, self.a[-1] ^ self.b[-1], name="sign1")
        nan1 = register(m, a.nan | b.nan | (a.infinite & b.zero) | (a.zero & b.infinite), name="nan1")
        infinite1 = register(m, a.infinite | b.infinite, name="infinite1")
        exponents = a.exponent + b.exponent
        if self.factor:
            exponents = exponents + self.power
        exponents1 = register(m, exponents, name="exponents1")
        zeros_a1 = register(m, a.zeros, name="zeros_a1") if isinstance(a, _Operand) else 0
        zeros_b1 = register(m, b.zeros, name="zeros_b1")
        significand_a1 = register(m, a.significand, name="significand_a1")
        significand_b1 = register(m, b.significand, name="significand_b1")

        # 2: multiply. `exponent` is the biased exponent of the product's top bit; `shift` is how far below 1.
        product = named(m, significand_a1 * significand_b1, name="product")
        bias = self.a_format.bias + self.b_format.bias - FP32.bias
        bias += (self.factor.offset if self.factor else 0) - self.exponent
        exponent = named(m, (exponents1 - (bias - 1) - zeros_a1 - zeros_b1).as_signed(), name="exponent")
        sign2 = register(m, sign1, name="sign2")
        nan2 = register(m, nan1, name="nan2")
        infinite2 = register(m, infinite1, name="infinite2")
        product2 = register(m, _top_bits(product, _FRACTION + 4), name="product2")
        exponent2 = register(m, exponent[: FP32.exponent_bits + 1], name="exponent2")
        shift2 = None if normal else register(m, _shift(m, exponent), name="shift2")

        # 3: bring the top bit of a normal product to the top, a subnormal one to exponent 1; round.
        raisable = 1 if shift2 is None else ~shift2.any() & (exponent2 != 1)
        up = named(m, ~product2[-1] & raisable, name="up")
        raised = named(m, Mux(up, (product2 << 1)[: len(product2)], product2), name="raised")
        significand = raised if shift2 is None else shift_right_sticky(m, raised, shift2, name="significand")
        exponent3 = named(m, (exponent2 - up)[: len(exponent2)], name="exponent3")
        field = exponent3[: FP32.exponent_bits]
        magnitude = round_and_pack(m, field, significand, _FRACTION, name="rounded")
        overflow = 0 if normal else significand[-1] & (exponent3[-1] | field.all())
        result = Signal(FP32.bits)
        with m.If(nan2):
            m.d.comb += result.eq(FP32.nan)
        with m.Elif(infinite2 | overflow):
            m.d.comb += result.eq(Cat(Const(FP32.infinity, FP32.bits - 1), sign2))
        with m.Else():
            m.d.comb += result.eq(Cat(magnitude, sign2))
        m.d.comb += self.o.eq(register(m, result, name="o3"))
        return m


def _shift(m: Module, exponent: Value) -> Value:
    """Returns how far right a significand of that biased exponent goes to get exponent 1; at most 31."""
    distance = named(m, (1 - exponent)[: len(exponent)], name="distance")
    far = distance[_SHIFT_BITS:].any()
    tiny = exponent < 1
    return (distance[:_SHIFT_BITS] | far.replicate(_SHIFT_BITS)) & tiny.replicate(_SHIFT_BITS)


class _Integer:
    """Takes an FP32 operand apart that is an integer of `width` bits, or, with `specials`, special."""

    def __init__(self, value: Value, width: int, *, specials: bool):
        fraction, self.exponent = value[: FP32.fraction_bits], value[FP32.fraction_bits : -1]
        normal = self.exponent[-1] | self.exponent[:-1].all()  # at least 127, where there is one
        self.nan = self.infinite = Const(0, 1)
        if specials:
            special = self.exponent.all()
            self.nan, self.infinite = special & fraction[-1], special & ~fraction[-1]
        self.zero = ~normal
        # Every magnitude but the highest, a power of two, fits one bit less.
        self.significand = Cat(fraction, normal)[-min(FP32.significand_bits, width - 1) :]


class _Operand:
    """Takes an operand apart, into a significand that is zero or has its highest bit set, and so on."""

    def __init__(self, m: Module, value: Value, form: FloatFormat, name: str):
        fraction, field = value[: form.fraction_bits], value[form.fraction_bits : -1]
        normal = named(m, field.any(), name=f"{name}_normal")
        special = field.all()
        self.nan = special & fraction.any()
        self.infinite = special & ~fraction.any()
        self.zero = ~normal & ~fraction.any()
        self.exponent = Cat(field[0] | ~normal, field[1:])  # field 0 has the exponent of field 1
        self.significand, self.zeros = normalize(
            m, Cat(fraction, normal), powers_below(form.significand_bits), name=name
        )


def _top_bits(value: Value, width: int) -> Value:
    """Returns the upper `width` bits of `value`, the lowest of them sticky; zeros below a shorter value."""
    if len(value) <= width:
        return Cat(Const(0, width - len(value)), value)
    dropped = len(value) - width
    return Cat(value[: dropped + 1].any(), value[dropped + 1 :])
