"""Integer activations: exact sums."""

from functools import cached_property

from ..formats.numbers import IntFormat, signed_bits
from ..stages import INT_TO_FLOAT_STAGES
from .base import Scheme, product_limits

CARRY_SPACING = 3
"""Columns of one carry chain of the `carry_save` accumulator. Of 1 to 10, 3 gave the least area x delay."""

RECODED = ("booth", "carry_save")
"""Datapaths that take weights as digits (`mixpe.hw.arith.recode`)."""


class Integer(Scheme):
    """Activations are two's-complement integers, and every sum of a group is exact."""

    name = "integer"

    @property
    def act(self) -> IntFormat:
        """The format of activations inside the array."""
        return IntFormat(self.config.act_bits)

    @property
    def act_limits(self) -> tuple[int, int]:
        """The least and the greatest activation inside the array."""
        return self.act.min, self.act.max

    @property
    def lane_wires(self) -> int:
        return self.act.bits

    @property
    def weight_wires(self) -> int:
        """A weight's bits, or the wires of its digits."""
        bits = self.config.weight.bits
        return 3 * (bits // 2) + 2 * (bits % 2) if self.config.datapath in RECODED else bits

    @cached_property
    def sum_bits(self) -> int:
        """Width of P, the signed sum of a group's products: exact, it never wraps."""
        return max(self.config.acc_bits, self._group_bits(self.config.matrix.weight.limits))

    @cached_property
    def carry_columns(self) -> tuple[int, ...]:
        """Columns of P at which the accumulator keeps a carry apart, which the dequantizer adds."""
        if self.config.datapath != "carry_save":
            return ()
        return tuple(range(CARRY_SPACING, self.sum_bits, CARRY_SPACING))

    @property
    def drain_bits(self) -> int:
        """The sum, then its saved carries."""
        return self.sum_bits + len(self.carry_columns)

    @property
    def row_sum_bits(self) -> int:
        return self._group_bits((1, 1))

    @cached_property
    def corrected_bits(self) -> int:
        """Width of C = P - z*S, the signed sum of a group after the zero point."""
        matrix = self.config.matrix
        if not matrix.subtracts:
            return self.sum_bits
        (low, high), (least, most) = matrix.weight.limits, matrix.zero_limits
        return self._group_bits((low - most, high - least))

    def _group_bits(self, factor: tuple[int, int]) -> int:
        """Width of the sum of a group of activations, each times an integer within the limits `factor`."""
        low, high = product_limits(factor, self.act_limits)
        return signed_bits(self.config.group * low, self.config.group * high)

    @property
    def resolve_stages(self) -> int:
        return 1 if self.carry_columns else 0

    @property
    def correct_stages(self) -> int:
        return 1

    @property
    def float_stages(self) -> int:
        return INT_TO_FLOAT_STAGES

    @property
    def widths(self) -> dict[str, int]:
        return {
            "group_sum": self.sum_bits,
            "row_sum": self.row_sum_bits if self.config.matrix.subtracts else 0,
            "corrected_sum": self.corrected_bits,
        }

    def arithmetic(self) -> dict[str, str]:
        matrix = self.config.matrix
        if matrix.weight.exponent:
            codes, product = "V", f"fl32(C[m,n,g]) * s[g,n]{self._unit}, rounded once to FP32"
            formula = self._recoded
        else:
            codes, product, formula = "q", "fl32(C[m,n,g]) *32 fl32(s[g,n])", {}
        return {
            **formula,
            "P[m,n,g]": f"sum over k in group g of {codes}[k,n] * a[m,k], exact integer",
            "S[m,g]": "sum over k in group g of a[m,k], exact integer",
            "C[m,n,g]": f"P[m,n,g] - {matrix.zero_symbol} * S[m,g], exact integer",
            "D[m,n,g]": product,
        }
