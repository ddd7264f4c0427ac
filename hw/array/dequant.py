"""One column's dequantizer: from group sums to results, in IEEE 754 arithmetic."""

from amaranth.hdl import EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.array import MULTIPLY_STAGES, Config
from ...spec.formats.numbers import FP16, FP32
from ..element.datapath import resolved
from ..element.integer import drain_shape
from ..element.special import special_float, special_sum
from ..fp import FloatAdder, FloatCast, FloatMultiplier, IntToFloat, Power
from ..fp.accumulate import to_float
from ..fp.normalize import register
from .edge import integer_float

_NEGATIVE_ZERO = 1 << (FP32.bits - 1)


class Column(wiring.Component):
    """Dequantizes the group sums of one array column and keeps the column's running results.

    For every row: `C = P - z*S`, `D = fl32(C) * fl32(s)`, `Y = D` for a tile's first group, else `Y + D`;
    read out, `result = cast(Y * t)`. Of aligned activations `D = fl32(fl32(C) * s * 2**x)`, one rounding,
    where 2**x is the unit in which the row's group counts; of FP32 sums `C = P - fl32(z*S)`. Fixed latency,
    one row a cycle, no stall up to the memory of Y.

    Ports, with the cycle in which they refer to a row whose `sum` is on the bus in cycle 2:

    - `sum` (`Config.drain_bits`, as `mixpe.hw.element.integer.PE` drains it): P; with `Config.has_row_sum` in
      cycle `sum_latency` `row_sum`: S, and of aligned activations `group_code` (`Config.group_code_bits`).
      With `Config.zero_point` `zero` is written like `scale`.
    - `scale` (FP16 code), `zero`: written into slot `scale_write_slot` when `scale_write` is high.
      `zero_slot` (cycle `sum_latency`) and `scale_slot` (cycle `scale_latency`) choose what to use; the
      slot ports are there only if `Config.scale_slots` > 1.
    - `read_row` (cycle `product_latency` - 1) and `first` (one cycle later): the row whose Y is
      continued, and that it begins instead.
    - `write`, `write_row` (cycle `write_latency`): the row whose new Y is stored.

    Read-out, a pipeline of `Config.output_latency` cycles that moves while `advance` is high: `out_row`
    enters, and one cycle later its token scale `token` (FP32 code, if `Config.token_scale`); `out` is the
    result's code in `Config.out`.
    """

    def __init__(self, config: Config):
        self.config = config
        members = {
            "sum": In(drain_shape(config)),
            "scale": In(config.scale.bits),
            "scale_write": In(1),
            "read_row": In(config.row_index_bits),
            "first": In(1),
            "write": In(1),
            "write_row": In(config.row_index_bits),
            "advance": In(1),
            "out_row": In(config.row_index_bits),
            "out": Out(config.out.bits),
        }
        if config.has_row_sum:
            members["row_sum"] = In(FP32.bits if config.scheme == "fp_mac" else signed(config.row_sum_bits))
        if config.scheme == "aligned":
            members["group_code"] = In(config.group_code_bits)
        if config.zero_point:
            members["zero"] = In(signed(config.weight_bits))
        if config.scale_slots > 1:
            members["scale_write_slot"] = In(config.scale_slot_bits)
            members["scale_slot"] = In(config.scale_slot_bits)
        if config.scale_slots > 1 and config.zero_point:
            members["zero_slot"] = In(config.scale_slot_bits)
        if config.token_scale:
            members["token"] = In(FP32.bits)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config

        drained = Signal.like(self.sum, reset_less=True)
        m.d.sync += drained.eq(self.sum)
        product = self._float_product if config.scheme == "fp_mac" else self._integer_product
        multiplier = product(m, drained)
        m.submodules.adder = adder = FloatAdder()
        m.submodules.results = results = Memory(shape=FP32.bits, depth=1 << config.row_index_bits, init=[])
        write, running, finished = results.write_port(), results.read_port(), results.read_port()
        m.d.comb += [
            multiplier.b.eq(self._slot(m, "scale")),
            running.addr.eq(self.read_row),
            adder.a.eq(multiplier.o),
            # x + -0 is x, for every x: the first group's sum passes through the adder.
            adder.b.eq(Mux(self.first, _NEGATIVE_ZERO, running.data)),
            write.en.eq(self.write),
            write.addr.eq(self.write_row),
            write.data.eq(adder.o),
            finished.en.eq(self.advance),
            finished.addr.eq(self.out_row),
        ]

        result = finished.data
        moving = EnableInserter(self.advance)
        if config.token_scale:
            scaler = FloatMultiplier(FP32, FP32)
            m.submodules.scaler = moving(scaler)
            m.d.comb += [scaler.a.eq(result), scaler.b.eq(self.token)]
            result = scaler.o
        cast = FloatCast(config.out)
        m.submodules.cast = moving(cast)
        m.d.comb += [cast.i.eq(result), self.out.eq(cast.o)]
        return m

    def _integer_product(self, m: Module, drained: Value) -> FloatMultiplier:
        """The multiplier by the scale, whose other operand is C."""
        config = self.config
        total = resolved(config, drained)
        for _ in range(config.resolve_stages):
            unresolved, total = total, Signal(signed(config.sum_bits), reset_less=True)
            m.d.sync += total.eq(unresolved)
        if config.has_row_sum:
            corrected = Signal(signed(config.corrected_bits), reset_less=True)
            zero = self._zero(m)
            m.d.sync += corrected.eq(total - zero * self.row_sum)
        else:
            corrected, zero = total, None
        m.submodules.to_float = to_float = IntToFloat(len(corrected))
        aligned = config.scheme == "aligned"
        power = Power(config.act_float.exponent_bits, config.align_offset) if aligned else None
        multiplier = FloatMultiplier(FP32, config.scale, a_integer=len(corrected), power=power)
        m.submodules.multiplier = multiplier
        m.d.comb += [to_float.i.eq(corrected), multiplier.a.eq(to_float.o)]
        if aligned:
            exponent = self.group_code[: config.act_float.exponent_bits]
            special = special_sum(self.group_code[len(exponent) :], total, zero)
            for stage in range(config.scale_latency - config.sum_latency):
                exponent = register(m, exponent, name=f"exponent{stage}")
                special = register(m, special, name=f"special{stage}")
            m.d.comb += multiplier.power.eq(exponent)
            with m.If(special.any()):
                m.d.comb += multiplier.a.eq(special_float(special))
        return multiplier

    def _float_product(self, m: Module, drained: Value) -> FloatMultiplier:
        """As `_integer_product`, of FP32 sums: C = P - fl32(z * S)."""
        config = self.config
        total = register(m, to_float(m, config.float_sum, drained), name="total")
        if config.has_row_sum:
            m.submodules.zero_multiplier = by_zero = FloatMultiplier(FP32, FP16)
            m.submodules.corrector = corrector = FloatAdder()
            zero = Signal(signed(config.weight_bits))
            for stage in range(MULTIPLY_STAGES):
                total = register(m, total, name=f"total{stage}")
            m.d.comb += [
                zero.eq(self._zero(m)),
                by_zero.a.eq(self.row_sum),
                by_zero.b.eq(integer_float(m, zero)),
                corrector.a.eq(total),
                corrector.b.eq(by_zero.o ^ (1 << (FP32.bits - 1))),
            ]
            total = corrector.o
        multiplier = FloatMultiplier(FP32, config.scale)
        m.submodules.multiplier = multiplier
        m.d.comb += multiplier.a.eq(total)
        return multiplier

    def _zero(self, m: Module):
        """The zero point inside the array: a code that was unsigned has lost half its range."""
        return self._slot(m, "zero") if self.config.zero_point else self.config.weight.min

    def _slot(self, m: Module, name: str):
        """The register, one of several where groups overlap, that holds the current `name`."""
        source = getattr(self, name)
        if self.config.scale_slots == 1:
            slot = Signal.like(source, name=f"{name}_held", reset_less=True)
            with m.If(self.scale_write):
                m.d.sync += slot.eq(source)
            return slot
        slots = [
            Signal.like(source, name=f"{name}_slot{index}", reset_less=True)
            for index in range(self.config.scale_slots)
        ]
        chosen, current = slots[0], getattr(self, f"{name}_slot")
        for index, slot in enumerate(slots[1:], start=1):
            chosen = Mux(current == index, slot, chosen)
        for index, slot in enumerate(slots):
            with m.If(self.scale_write & (self.scale_write_slot == index)):
                m.d.sync += slot.eq(source)
        return chosen
