"""One processing element to place alone: plain codes in, a plain sum out, whatever the datapath."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.errors import UserError, check_type
from ..element.datapath import resolved
from ..element.integer import RowSum
from ..fp.accumulate import to_float
from ..modules import Modules
from ..ports import Component
from .door import centred
from .edge import ActNormalizer
from .schemes import circuits


class PE(Component):
    """Accumulates one group sum `sum(weight * act)` of MixPE and passes its operands on.

    It is the array's element with what the array has at its edges: weights are recoded on their way in, saved
    carries are added on the way out. So all datapaths have the same ports and give the same numbers, in
    the same cycles. Fixed latency, no flow control: every cycle brings `lanes` products, and a cycle without
    operands has zero activations. The path from the operands' ports to a register is longer by the recoding,
    that from a register to `sum` by the addition.

    The sum depends on the scheme of the activations:

    - "integer": the exact sum of products of the codes' numbers, signed. Weights that are floating-point
      codes count in units of their smallest number: a sum of FP4 weights is twice the sum.
    - "aligned": the same, of integers (`Config.act`) that are aligned already; they are never infinite.
    - "fp_mac": the FP32 code of the sum, rounded as an array's element rounds (docs/arithmetic.md); operands
      are floating-point codes and signed weights.

    A group has at most `Config.group` products; the sum of a longer one may wrap (in "fp_mac" it rounds on).
    In reset every cycle ends a group.

    Parameters
    ----------
    config: formats, group, lanes and datapath. Rows, columns, scales and zero points are the array's alone.
    modules: as `mixpe.hw.modules` has it; with it, one-bit adders are modules.

    Raises `UserError` if `config` is no `Config`, and for unsigned weights in the scheme "fp_mac".

    Ports
    -----
    acts: in, `act_bits` (of the scheme "aligned" `align_bits`) for each lane, cycle t: activations, lane 0 in
        the low bits.
    weights: in, `weight_bits` for each lane, cycle t: weight codes, lane 0 in the low bits: two's complement,
        plain binary if they are unsigned, or floating-point codes.
    group_end: in, 1, cycle t+1: the operands of cycle t were their group's last; those of cycle t+1 begin the
        next group.
    acts_out, weights_out: out, cycle t+1: `acts` and `weights`, for the neighbours.
    group_end_out: out, 1, cycle t+2: `group_end`, for the right neighbour.
    sum: out, cycle t+2 of a group's last operands: the sum; zero in every cycle that ends no group.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        check_type("config", config, Config)
        self._floats = config.scheme.name == "fp_mac"
        if self._floats and config.matrix.weight.offset:
            raise UserError("weight_signed must be true for an element of scheme fp_mac, not false")
        self.config = config
        self.modules = modules
        acts, weights = config.lanes * self._act_bits, config.lanes * config.weight_bits
        super().__init__(
            {
                "acts": In(acts),
                "weights": In(weights),
                "group_end": In(1),
                "acts_out": Out(acts),
                "weights_out": Out(weights),
                "group_end_out": Out(1),
                "sum": Out(self._sum_shape),
            }
        )

    @property
    def _act_bits(self) -> int:
        return self.config.act_bits if self._floats else self.config.act.bits

    @property
    def _sum_shape(self) -> Shape:
        if self._floats:
            return unsigned(self.config.float_sum.out.bits)
        # Unsigned codes reach less than twice as far as the signed integers that stand for them.
        return signed(self.config.sum_bits + bool(self.config.matrix.weight.offset))

    def elaborate(self, platform):
        m = Module()
        config, edge = self.config, circuits(self.config, self.modules)
        acts = Signal.like(self.acts, reset_less=True)
        weights = Signal.like(self.weights, reset_less=True)
        m.d.sync += [acts.eq(self.acts), weights.eq(self.weights)]
        element: Any = edge.element()
        m.submodules.element = element
        taken: Value = self.acts
        if self._floats:
            taken = edge.each_by(m, "act_normal", taken, self._act_bits, ActNormalizer)
        m.d.comb += [
            element.acts.eq(taken),  # a wire above them that tells of infinities stays low
            element.weights.eq(edge.weights(m, centred(config.matrix.weight, self.weights))),
            element.group_end.eq(self.group_end),
            self.acts_out.eq(acts),
            self.weights_out.eq(weights),
            self.group_end_out.eq(element.group_end_out),
            self.sum.eq(self._total(m, element)),
        ]
        return m

    def _total(self, m: Module, element: Any) -> Value:
        """Returns the sum that the element's word stands for."""
        config, offset = self.config, self.config.matrix.weight.offset
        if self._floats:
            return to_float(m, config.float_sum, element.sum)
        total = resolved(config, element.sum)
        if not offset:
            return total
        # The array multiplies unsigned codes less half their range; the sum of activations brings it back.
        m.submodules.row_sum = row_sum = RowSum(config)
        m.d.comb += [
            row_sum.acts.eq(element.acts_out[: len(row_sum.acts)]),
            row_sum.done.eq(element.group_end_out),
        ]
        return total + row_sum.sum * offset
