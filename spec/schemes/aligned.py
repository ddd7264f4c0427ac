"""Aligned activations, after FIGNA (Jang et al., HPCA 2024): numbers made integers, group by group."""

from ..formats.numbers import IntFormat
from ..stages import ALIGN_STAGES
from .base import symmetric
from .integer import Integer


class Aligned(Integer):
    """The array's edge turns the activations of a row and group into integers with a common exponent."""

    name = "aligned"
    acts_lead = "acts are taken up to a group and three beats ahead"
    fill_expression = "first_beats + align_stages"

    @property
    def act(self) -> IntFormat:
        return IntFormat(self.config.align_bits)

    @property
    def act_limits(self) -> tuple[int, int]:
        return symmetric(self.act)

    @property
    def has_infinities(self) -> bool:
        return self.config.act_float.infinities

    @property
    def align_offset(self) -> int:
        """A group counts in units of 2**(E - align_offset), where E is the largest exponent field of the
        group (1 for subnormals and zero)."""
        return self.config.act_float.bias + self.config.align_bits - 2

    @property
    def group_code_bits(self) -> int:
        """Holds, from bit 0 up: E; whether the group holds NaN, in a format with NaN; whether it holds
        +infinity and whether -infinity, in a format with infinities."""
        form = self.config.act_float
        return form.exponent_bits + form.nans + 2 * form.infinities

    def fill_cycles(self, k: int) -> int:
        """Aligning needs a group's largest exponent first, and later groups in the meantime."""
        return self.config.first_beats(k) + ALIGN_STAGES

    @property
    def latencies(self) -> dict[str, int]:
        return {"align_stages": ALIGN_STAGES}

    @property
    def widths(self) -> dict[str, int]:
        return super().widths | {"aligned_activation": self.config.align_bits}

    def arithmetic(self) -> dict[str, str]:
        q, z = self._symbols
        down, limit, low = self.config.align_bits - 2, self.act.max, 1 - self.config.act_float.bias
        formulas = self._recoded | {
            "E[m,g]": f"largest exponent of a[m,k] over k in group g, at least {low}",
            "A[m,k]": f"rn(a[m,k] / 2**(E[m,g] - {down})), ties to even, cut to -{limit} to {limit}",
            "C[m,n,g]": f"sum over k in group g of ({q}[k,n] - {z}) * A[m,k], exact integer",
            "D[m,n,g]": f"fl32(fl32(C[m,n,g]) * s[g,n]{self._unit} * 2**(E[m,g] - {down})), the product "
            "rounded once",
        }
        if self.config.act_float.nans:
            formulas["infinities, NaN"] = (
                "a row that has some in a group has there D[m,n,g] = C *32 fl32(s[g,n]) with "
                f"C = P - {z} * S, P the sum of {q}[k,n] * a[m,k] and S that of a[m,k] over the infinite and "
                "NaN a[m,k], as IEEE 754 adds and multiplies them"
            )
        return formulas
