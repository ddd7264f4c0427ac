"""Circuits for integer activations."""

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value, signed

from ....spec.formats.numbers import FP32
from ...element.datapath import resolved
from ...element.integer import ArrayElement, RowSum, drain_shape, recoded_weights
from ...fp import FloatMultiplier, IntToFloat, Power
from ...ports import Component
from ..door import FloatDoor
from .base import Circuits, EdgeActs


class IntegerCircuits(Circuits):
    """Exact integer sums: activations enter as they are."""

    name = "integer"

    def element(self, shared: Collection[str] = ()) -> Component:
        return ArrayElement(self.config, self.modules, shared)

    def row_accumulator(self) -> Any:
        return RowSum(self.config)

    @property
    def drain_shape(self) -> Shape:
        return drain_shape(self.config)

    @property
    def row_sum_shape(self) -> Shape:
        return signed(self.config.row_sum_bits)

    @property
    def resolved_row_sum_shape(self) -> Shape:
        return self.row_sum_shape

    def resolved_row_sum(self, m: Module, word: Value) -> Value:
        return word

    def acts(self, m: Module, stream: Any, pacer: Any) -> EdgeActs:
        m.d.comb += stream.ready.eq(pacer.take)
        return EdgeActs(stream.valid, stream.payload.a.as_value(), stream.payload.last)

    def weights(self, m: Module, codes: Value) -> Value:
        weight = self.config.matrix.weight
        if not weight.integers:
            codes = self.each_by(m, "weight_door", codes, weight.bits, lambda _: FloatDoor(weight))
        return recoded_weights(self.config, codes)

    def product(self, m: Module, column: Any, drained: Value) -> FloatMultiplier:
        corrected, _, _ = self._corrected(m, column, drained)
        return self._multiplier(m, corrected)

    def _corrected(self, m: Module, column: Any, drained: Value) -> tuple[Value, Value, Value | int | None]:
        """Returns C, P, and the zero point, None where nothing is subtracted."""
        config = self.config
        total = resolved(config, drained)
        for _ in range(config.scheme.resolve_stages):
            unresolved, total = total, Signal(signed(config.sum_bits), reset_less=True)
            m.d.sync += total.eq(unresolved)
        if not config.matrix.subtracts:
            return total, total, None
        corrected = Signal(signed(config.corrected_bits), reset_less=True)
        zero = column.zero_point(m)
        m.d.sync += corrected.eq(total - zero * column.row_sum)
        return corrected, total, zero

    def _multiplier(self, m: Module, corrected: Value, power: Power | None = None) -> FloatMultiplier:
        """Returns the multiplier of fl32(C)."""
        m.submodules.to_float = to_float = IntToFloat(len(corrected))
        multiplier = FloatMultiplier(
            FP32,
            self.config.scale,
            a_integer=len(corrected),
            power=power,
            exponent=self.config.matrix.weight.exponent,
        )
        m.submodules.multiplier = multiplier
        m.d.comb += [to_float.i.eq(corrected), multiplier.a.eq(to_float.o)]
        return multiplier
