"""Circuits for floating-point activations that are multiplied as they are and summed in FP32."""

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value, signed, unsigned

from ....spec.formats.numbers import FP16, FP32
from ....spec.stages import MULTIPLY_STAGES
from ...element.floating import FloatIntPE
from ...fp import FloatAdder, FloatMultiplier
from ...fp.accumulate import to_float
from ...fp.normalize import register
from ...ports import Component
from ..edge import ActNormalizer, FloatRowSum, WeightDigits, integer_float
from .base import Circuits, EdgeActs


class FpMacCircuits(Circuits):
    """Operands normalized at the array's edge, floating-point elements, C = P - fl32(z * S) in FP32."""

    name = "fp_mac"

    def element(self, shared: Collection[str] = ()) -> Component:
        return FloatIntPE(self.config, self.modules, shared)

    def row_accumulator(self) -> Any:
        return FloatRowSum(self.config)

    @property
    def drain_shape(self) -> Shape:
        return unsigned(self.config.drain_bits)

    @property
    def row_sum_shape(self) -> Shape:
        return unsigned(self.config.row_sum_bits)

    @property
    def resolved_row_sum_shape(self) -> Shape:
        return unsigned(FP32.bits)

    def resolved_row_sum(self, m: Module, word: Value) -> Value:
        return to_float(m, self.config.float_row_sum, word)

    def acts(self, m: Module, stream: Any, pacer: Any) -> EdgeActs:
        m.d.comb += stream.ready.eq(pacer.take)
        codes = stream.payload.a.as_value()
        wires = self.each_by(m, "act_normal", codes, self.config.act_bits, ActNormalizer)
        return EdgeActs(stream.valid, wires, stream.payload.last)

    def weights(self, m: Module, codes: Value) -> Value:
        return self.each_by(m, "weight_digits", codes, self.config.weight_bits, WeightDigits)

    def product(self, m: Module, column: Any, drained: Value) -> FloatMultiplier:
        config = self.config
        total = register(m, to_float(m, config.float_sum, drained), name="total")
        if config.matrix.subtracts:
            m.submodules.zero_multiplier = by_zero = FloatMultiplier(FP32, FP16)
            m.submodules.corrector = corrector = FloatAdder()
            zero = Signal(signed(config.weight.bits))
            for stage in range(MULTIPLY_STAGES):
                total = register(m, total, name=f"total{stage}")
            m.d.comb += [
                zero.eq(column.zero_point(m)),
                by_zero.a.eq(column.row_sum),
                by_zero.b.eq(integer_float(m, zero)),
                corrector.a.eq(total),
                corrector.b.eq(by_zero.o ^ (1 << (FP32.bits - 1))),
            ]
            total = corrector.o
        multiplier = FloatMultiplier(FP32, config.scale, exponent=config.matrix.weight.exponent)
        m.submodules.multiplier = multiplier
        m.d.comb += multiplier.a.eq(total)
        return multiplier
