"""The door of a column: a weight's code becomes the integer that the array multiplies, once for all rows."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from ...spec.errors import UserError
from ...spec.formats.numbers import FloatFormat
from ...spec.formats.weights import WeightFormat
from ..fp.normalize import named
from ..modules import Modules, place
from ..ports import Component


def centred(weight: WeightFormat, codes: Value) -> Value:
    """Returns codes, any number side by side, with that of zero made all low.

    A bubble, which is all low, then adds nothing. Unsigned codes become two's complement by it: they lose
    half their range, a flipped top bit.
    """
    if not weight.zero_code:
        return codes
    return codes ^ Cat(Const(weight.zero_code, weight.bits) for _ in range(len(codes) // weight.bits))


class FloatDoor(Component):
    """Makes a two's-complement integer of a small floating-point code, exactly. Combinational.

    The integer is the code's number times 2**-`WeightFormat.exponent`: for E2M1, twice the number.

    Ports
    -----
    i: in, `weight.bits`: the code, without infinity and NaN.
    o: out, `weight.integer.bits`: the integer.

    Raises `UserError` for a format of integers, which needs no door.
    """

    def __init__(self, weight: WeightFormat):
        if not isinstance(weight.code, FloatFormat):
            raise UserError(f"weight must be of a floating-point format, not {weight}")
        self.weight = weight
        self.form = weight.code
        super().__init__({"i": In(weight.bits), "o": Out(weight.integer.bits)})

    def elaborate(self, platform):
        m = Module()
        form, width = self.form, self.weight.integer.bits
        fraction, field, sign = self.i[: form.fraction_bits], self.i[form.fraction_bits : -1], self.i[-1]
        normal = named(m, field.any(), name="normal")
        # A subnormal number has the exponent of field 1 and no hidden bit.
        shift = named(m, (field - normal)[: form.exponent_bits], name="shift")
        magnitude = named(m, (Cat(fraction, normal) << shift)[: width - 1], name="magnitude")
        negative = named(m, (~magnitude + 1)[: width - 1], name="negative")
        m.d.comb += self.o.eq(Cat(Mux(sign, negative, magnitude), sign & magnitude.any()))
        return m


def place_doors(
    m: Module,
    name: str,
    values: Value,
    width: int,
    make: Callable[[], Component],
    prefix: str,
    modules: Modules | None,
) -> Value:
    """Returns `values`, of `width` bits each, through combinational components with ports `i` and `o`."""
    results = []
    for index in range(len(values) // width):
        made = place(m, f"{name}{index}", make, modules, f"{prefix}_{name}", registers=False)
        m.d.comb += made.i.eq(values.word_select(index, width))
        results.append(made.o)
    return Cat(results)
