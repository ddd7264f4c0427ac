"""Circuits for floating-point activations that are aligned, group by group, to integers."""

from typing import Any

from amaranth.hdl import Module, Value

from ...element.special import special_float, special_sum
from ...fp import FloatMultiplier, Power
from ...fp.normalize import register
from ..align import Aligner, GroupCodes
from .base import EdgeActs
from .integer import IntegerCircuits


class AlignedCircuits(IntegerCircuits):
    """An aligner in front of integer elements; the group's unit enters with the scale."""

    name = "aligned"

    def acts(self, m: Module, stream: Any, pacer: Any) -> EdgeActs:
        aligner = self.place(m, "aligner", lambda: Aligner(self.config, self.modules))
        codes = self.place(m, "group_codes", lambda: GroupCodes(self.config))
        m.d.comb += [
            aligner.i.payload.eq(stream.payload),
            aligner.i.valid.eq(stream.valid & pacer.open),
            stream.ready.eq(aligner.i.ready),
            aligner.o.ready.eq(pacer.take),
            codes.codes.eq(aligner.o.payload.codes.as_value()),
            codes.group_end.eq(pacer.group_end),
        ]
        beat = aligner.o.payload
        return EdgeActs(aligner.o.valid, beat.acts, beat.last, codes.code)

    def product(self, m: Module, column: Any, drained: Value) -> FloatMultiplier:
        config = self.config
        exponent_bits = config.act_float.exponent_bits
        corrected, total, zero = self._corrected(m, column, drained)
        multiplier = self._multiplier(m, corrected, Power(exponent_bits, config.align_offset))
        exponent, flags = column.group_code[:exponent_bits], column.group_code[exponent_bits:]
        special = special_sum(flags, total, zero) if len(flags) else None
        for stage in range(config.scale_latency - config.sum_latency):
            exponent = register(m, exponent, name=f"exponent{stage}")
            special = special if special is None else register(m, special, name=f"special{stage}")
        m.d.comb += multiplier.power.eq(exponent)
        if special is not None:
            with m.If(special[0]):
                m.d.comb += multiplier.a.eq(special_float(special))
        return multiplier
