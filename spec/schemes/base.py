"""What every activation scheme says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ..formats.numbers import IntFormat

if TYPE_CHECKING:
    from ..array import Config


class Scheme(ABC):
    """An activation scheme of one configuration: its widths, latencies and formulas.

    Widths are in wires, latencies in cycles.
    """

    name: ClassVar[str]
    """The scheme's name, under which other rooms keep what they know of it."""

    acts_lead: ClassVar[str] = "both are taken in the same cycle"
    """When beats of activations are taken, beside those of weights."""

    fill_expression: ClassVar[str] = "0"
    """`fill_cycles` in the manifest's terms."""

    def __init__(self, config: Config):
        self.config = config

    # Activations

    @property
    @abstractmethod
    def lane_wires(self) -> int:
        """Wires of an activation inside the array."""

    @property
    def has_infinities(self) -> bool:
        """Whether a wire beside a row's activations says that its group holds infinities or NaN."""
        return False

    @property
    def group_code_bits(self) -> int:
        """Width of what the dequantizer must know of a row's group besides its sum."""
        return 0

    # Weights

    @property
    @abstractmethod
    def weight_wires(self) -> int:
        """Wires of a weight inside the array."""

    # Sums

    @property
    @abstractmethod
    def drain_bits(self) -> int:
        """Width of the word of P that leaves an element."""

    @property
    @abstractmethod
    def row_sum_bits(self) -> int:
        """Width of the word of S that leaves a row."""

    # Latencies

    @property
    @abstractmethod
    def resolve_stages(self) -> int:
        """Cycles from an element's word of P, in the dequantizer's register, to P itself."""

    @property
    @abstractmethod
    def correct_stages(self) -> int:
        """Cycles from P and S to C = P - z*S."""

    @property
    @abstractmethod
    def float_stages(self) -> int:
        """Cycles from C to fl32(C)."""

    def fill_cycles(self, k: int) -> int:
        """Returns the cycles from a run's first beat until the array takes it, for an inner dimension `k`."""
        return 0 * k

    # What documents say

    @property
    def latencies(self) -> dict[str, int]:
        """The scheme's own entries among the manifest's latencies."""
        return {}

    @property
    def widths(self) -> dict[str, int]:
        """Bits of the integers inside, by name; none where products are added in floating point."""
        return {}

    @abstractmethod
    def arithmetic(self) -> dict[str, str]:
        """Returns the formulas from operands to D, in the order of computation."""

    @property
    def _recoded(self) -> dict[str, str]:
        """The formula of what stands for a code in the array, where that is not the code itself."""
        weight, matrix = self.config.matrix.weight, self.config.matrix
        if weight.exponent:
            low, high = weight.limits
            return {"V[k,n]": f"q[k,n] * 2**{-weight.exponent}, an integer of {low} to {high}"}
        if weight.offset:
            return {"q', z'": f"q - {weight.offset}, {matrix.zero_symbol} - {weight.offset}"}
        return {}

    @property
    def _symbols(self) -> tuple[str, str]:
        """How formulas name what the array multiplies, and the zero point that goes with it."""
        weight = self.config.matrix.weight
        if weight.exponent:
            return "V", "0"
        return ("q'", "z'") if weight.offset else ("q", self.config.matrix.zero_symbol)

    @property
    def _unit(self) -> str:
        """The constant factor of a scale, as formulas write it; empty where it is 1."""
        exponent = self.config.matrix.weight.exponent
        return f" * 2**{exponent}" if exponent else ""


def product_limits(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Returns the least and the greatest product of two integers, each within its limits."""
    products = [a * b for a in one for b in other]
    return min(products), max(products)


def symmetric(form: IntFormat) -> tuple[int, int]:
    """Returns the limits of integers that are as far from zero below as above."""
    return -form.max, form.max
