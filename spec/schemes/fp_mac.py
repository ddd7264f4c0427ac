"""MixPE's floating-point scheme (arXiv 2411.16158, W4A16): exact products, FP32 sums."""

from functools import cached_property

from ..formats.inside import AccumulatorFormat, NormalFormat, ScaledDigits, accumulator_format, normal_format
from ..stages import ADD_STAGES, MULTIPLY_STAGES
from .base import Scheme


class FpMac(Scheme):
    """Every product is exact and is added in FP32, in ascending k."""

    name = "fp_mac"

    @property
    def act_normal(self) -> NormalFormat:
        """The format of activations inside the array."""
        return normal_format(self.config.act_float)

    @property
    def weight_digits(self) -> ScaledDigits:
        """The format of weights inside the array."""
        weight = self.config.matrix.weight
        return ScaledDigits(weight.integer.bits, weight.magnitudes)

    @cached_property
    def float_sum(self) -> AccumulatorFormat:
        """The format of P."""
        return self._sum(max(self.config.matrix.weight.magnitudes))

    @cached_property
    def float_row_sum(self) -> AccumulatorFormat:
        """The format of S."""
        return self._sum(1)

    def _sum(self, magnitude: int) -> AccumulatorFormat:
        """The format of a group's sum of activations times integers of at most that magnitude."""
        act = self.act_normal
        highest = act.highest + (magnitude - 1).bit_length()
        return accumulator_format(act.offset, act.lowest, highest, self.config.group)

    @property
    def lane_wires(self) -> int:
        return self.act_normal.bits

    @property
    def weight_wires(self) -> int:
        return self.weight_digits.wires

    @property
    def drain_bits(self) -> int:
        return self.float_sum.bits

    @property
    def row_sum_bits(self) -> int:
        return self.float_row_sum.bits

    @property
    def resolve_stages(self) -> int:
        """FP32 is made of an accumulator's word."""
        return 1

    @property
    def correct_stages(self) -> int:
        return MULTIPLY_STAGES + ADD_STAGES

    @property
    def float_stages(self) -> int:
        return 0

    def arithmetic(self) -> dict[str, str]:
        (q, z), lanes, matrix = self._symbols, self.config.lanes, self.config.matrix
        tree = f"; {lanes} products of a beat first, pairwise as a balanced tree" if lanes > 1 else ""
        unit = self._unit
        return self._recoded | {
            "P[m,n,g]": f"0 +32 {q}[k,n] *32 a[m,k] .., k in group g in ascending order{tree}",
            "S[m,g]": "the same sum of a[m,k] alone",
            "C[m,n,g]": f"P[m,n,g] -32 ({z} *32 S[m,g])" if matrix.subtracts else "P[m,n,g]",
            "D[m,n,g]": f"C[m,n,g] * s[g,n]{unit}, rounded once to FP32"
            if unit
            else "C[m,n,g] *32 fl32(s[g,n])",
        }
