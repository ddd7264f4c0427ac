"""The formats of one array and every width that follows from its fields."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from .fields import Fields
from .formats.inside import AccumulatorFormat, NormalFormat, ScaledDigits
from .formats.matrix import MatrixFormat, Member
from .formats.numbers import ACT_FORMATS, FP16, FP32, OUT_FORMATS, FloatFormat, IntFormat
from .formats.weights import WEIGHT_FORMATS, WeightFormat
from .schemes import SCHEMES, Scheme

if TYPE_CHECKING:
    from .array import Config

MATRIX_FIELDS = ("weight_format", "weight_bits", "weight_signed", "zero_point", "group")
"""The fields that `Config.matrix` depends on."""


@dataclass(frozen=True, kw_only=True)
class Widths(Fields):
    """The fields of an array, its formats and widths in bits; `mixpe.spec.array.Config` adds its timing."""

    # Formats

    @cached_property
    def matrix(self) -> MatrixFormat:
        """The format of quantized weights, and the list of what belongs to each group of them."""
        weight = WEIGHT_FORMATS.get(self.weight_format) or WeightFormat(
            IntFormat(self.weight_bits, self.weight_signed)
        )
        members = [Member("s", "scale", self.scale, "scale s[g, n] of the group")]
        if self.zero_point:
            meaning = "zero point z[g, n] of the group, in the format of the weight codes"
            members.append(Member("z", "zero", weight.code, meaning))
        return MatrixFormat(weight, self.group, tuple(members))

    @property
    def row_members(self) -> tuple[Member, ...]:
        """What each row of the result has."""
        return (Member("t", "token", FP32, "scale t[m] of the tile row"),) if self.token_scale else ()

    @cached_property
    def scheme(self) -> Scheme:
        """How activations are multiplied and summed."""
        return SCHEMES[self.scheme_name](cast("Config", self))

    @property
    def weight_code(self) -> IntFormat | FloatFormat:
        """The format of weight codes outside the array."""
        return self.matrix.weight.code

    @property
    def weight(self) -> IntFormat:
        """The format of weights inside the array: always signed integers."""
        return self.matrix.weight.integer

    @property
    def act_code(self) -> IntFormat | FloatFormat:
        """The format of activations outside the array."""
        return ACT_FORMATS.get(self.act_format) or IntFormat(self.act_bits)

    @property
    def act_float(self) -> FloatFormat:
        """`act_code` where it is a floating-point format."""
        return ACT_FORMATS[self.act_format]

    @property
    def scale(self) -> FloatFormat:
        """The format of group scales."""
        return FP16

    @property
    def out(self) -> FloatFormat:
        """The format of the result."""
        return OUT_FORMATS[self.out_format]

    # Widths

    @property
    def act_wires(self) -> int:
        """Wires of a row's activations in a cycle: all lanes, lane 0 lowest, and above them the wire that
        tells of infinities, if the scheme has one."""
        return self.lanes * self.lane_wires + self.has_infinities

    # Widths that the scheme tells. It says how they come about; what it lacks is an `AttributeError`.

    @property
    def _scheme(self) -> Any:
        return self.scheme

    @property
    def act(self) -> IntFormat:
        """The format of integer or aligned activations inside the array."""
        return self._scheme.act

    @property
    def act_limits(self) -> tuple[int, int]:
        """The least and the greatest integer of an activation; aligned ones are symmetric."""
        return self._scheme.act_limits

    @property
    def act_normal(self) -> NormalFormat:
        """The format of activations inside an array of scheme "fp_mac"."""
        return self._scheme.act_normal

    @property
    def align_offset(self) -> int:
        """The place of an aligned integer's unit below a group's largest exponent field."""
        return self._scheme.align_offset

    @property
    def carry_columns(self) -> tuple[int, ...]:
        """Columns of P at which the accumulator keeps a carry apart, which the dequantizer adds."""
        return self._scheme.carry_columns

    @property
    def corrected_bits(self) -> int:
        """Width of C = P - z*S, the signed sum of a group after the zero point."""
        return self._scheme.corrected_bits

    @property
    def drain_bits(self) -> int:
        """Width of the word of P as it leaves a processing element."""
        return self.scheme.drain_bits

    @property
    def float_row_sum(self) -> AccumulatorFormat:
        """The format of S in an array of scheme "fp_mac"."""
        return self._scheme.float_row_sum

    @property
    def float_sum(self) -> AccumulatorFormat:
        """The format of P in an array of scheme "fp_mac"."""
        return self._scheme.float_sum

    @property
    def group_code_bits(self) -> int:
        """Width of what the dequantizer must know of a row's aligned group."""
        return self.scheme.group_code_bits

    @property
    def has_infinities(self) -> bool:
        """Whether a wire beside a row's activations says that its aligned group holds infinities or NaN."""
        return self.scheme.has_infinities

    @property
    def lane_wires(self) -> int:
        """Wires of an activation inside the array."""
        return self.scheme.lane_wires

    @property
    def row_sum_bits(self) -> int:
        """Width of the word of S as it leaves its row."""
        return self.scheme.row_sum_bits

    @property
    def sum_bits(self) -> int:
        """Width of P, the signed sum of products of a group: exact, it never wraps."""
        return self._scheme.sum_bits

    @property
    def weight_digits(self) -> ScaledDigits:
        """The format of weights inside an array of scheme "fp_mac"."""
        return self._scheme.weight_digits

    @property
    def weight_wires(self) -> int:
        """Wires of a weight inside the array: its bits, or its digits."""
        return self.scheme.weight_wires

    @property
    def final_adder(self) -> str:
        """What ends a bit heap (`mixpe.hw.arith.heap.BitHeap.total`)."""
        return "plus" if self.target == "fpga" else self.adder
