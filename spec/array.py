"""The configuration of one design: its fields, and every width and latency derived from them.

The hardware, the golden model, the manifest and the documents read widths and latencies here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import UserError
from .fields import DATAPATHS, Fields
from .formats.inside import AccumulatorFormat, NormalFormat, ScaledDigits
from .formats.matrix import MatrixFormat, Member
from .formats.numbers import ACT_FORMATS, FP16, FP32, OUT_FORMATS, FloatFormat, IntFormat
from .formats.weights import WEIGHT_FORMATS, WeightFormat
from .schemes import SCHEMES, Scheme
from .stages import ADD_STAGES, CAST_STAGES, MULTIPLY_STAGES

__all__ = ["DATAPATHS", "Config"]

MATRIX_FIELDS = ("weight_format", "weight_bits", "weight_signed", "zero_point", "group")
"""The fields that `Config.matrix` depends on."""


@dataclass(frozen=True, kw_only=True)
class Config(Fields):
    """One mpGEMM array: formats, group size, shape and datapath (`Fields`), and what follows from them."""

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
        return SCHEMES[self.scheme_name](self)

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

    @property
    def row_index_bits(self) -> int:
        return max(1, (self.rows - 1).bit_length())

    @property
    def scale_slot_bits(self) -> int:
        return max(1, (self.scale_slots - 1).bit_length())

    # Latencies, in cycles. Cycle 0 brings a group's last operands into the top; column j lags by j, row
    # i by i.

    @property
    def sum_latency(self) -> int:
        """Until P stands in the dequantizer's register: operand, accumulator, bus, saved carries added."""
        return 3 + self.scheme.resolve_stages

    @property
    def corrected_latency(self) -> int:
        """Until C = P - z*S is known."""
        return self.sum_latency + self.scheme.correct_stages * self.matrix.subtracts

    @property
    def scale_latency(self) -> int:
        """Until fl32(C) meets its scale."""
        return self.corrected_latency + self.scheme.float_stages

    @property
    def product_latency(self) -> int:
        """Until D = fl32(C) * s meets the running sum Y."""
        return self.scale_latency + MULTIPLY_STAGES

    def use_latency(self, member: Member) -> int:
        """Returns the cycles until the member of a group meets what it is combined with."""
        return {"s": self.scale_latency, "z": self.sum_latency}[member.symbol]

    @property
    def write_latency(self) -> int:
        """Until the new Y is written to the column's memory."""
        return self.product_latency + ADD_STAGES

    @property
    def output_latency(self) -> int:
        """Cycles from reading a row's Y until the row is valid on the output stream."""
        return 1 + MULTIPLY_STAGES * len(self.row_members) + CAST_STAGES

    @property
    def drain_latency(self) -> int:
        """Cycles from a tile's last operands until its last row is on the output stream (never blocked)."""
        return self.write_latency + (self.rows - 1) + (self.cols - 1) + 1 + self.output_latency

    # Throughput

    @property
    def group_beats(self) -> int:
        """Input beats (cycles) of a whole group."""
        return -(-self.group // self.lanes)

    @property
    def group_gap(self) -> int:
        """Least cycles from the end of a group to the end of the next one of the same tile.

        A shorter group waits with bubbles: the drain needs a cycle per row, the running sum's loop
        through the adder ADD_STAGES + 2. Up to a whole group's length the gap also covers the time a
        group's scales are in use, which leaves one register per column for them.
        """
        return max(self.rows, ADD_STAGES + 2, min(self.group_beats, self._scales_in_use))

    @property
    def tile_gap(self) -> int:
        """Least cycles from the end of a tile to the end of the next tile's first group.

        The tile's last row has left the columns' memories before the next tile enters them.
        """
        return self.write_latency + self.rows + self.cols

    @property
    def scale_slots(self) -> int:
        """Groups whose scales are in use at the same time."""
        return -(-self._scales_in_use // self.group_gap)

    @property
    def _scales_in_use(self) -> int:
        """Cycles from a group's last operands until its scales can be replaced."""
        return self.rows + self.cols + self.scale_latency - 2

    def beats(self, k: int) -> list[int]:
        """Input beats of every group of a tile with inner dimension `k`; the last one may be shorter."""
        whole, rest = self._groups(k)
        return [self.group_beats] * whole + ([rest] if rest else [])

    def first_beats(self, k: int) -> int:
        """Input beats of a tile's first group."""
        whole, rest = self._groups(k)
        return self.group_beats if whole else rest

    def tile_beats(self, k: int) -> int:
        """Input beats of a tile: every group begins one, so the last of a group may have idle lanes."""
        whole, rest = self._groups(k)
        return whole * self.group_beats + rest

    def _groups(self, k: int) -> tuple[int, int]:
        """Whole groups of a tile, and the beats of a shorter last one; 0 if there is none."""
        if k < 1:
            raise UserError(f"k must be at least 1, not {k}")
        whole, rest = divmod(k, self.group)
        return whole, -(-rest // self.lanes)

    def tile_cycles(self, k: int) -> int:
        """Cycles from one tile to the next, back to back: the interval in the steady state."""
        whole, rest = self._groups(k)
        cycles = max(self.first_beats(k), self.tile_gap) + max(0, whole - 1) * max(
            self.group_beats, self.group_gap
        )
        return cycles + (max(rest, self.group_gap) if whole and rest else 0)

    def run_cycles(self, k: int, tiles: int = 1) -> int:
        """Cycles of `tiles` tiles back to back, from the first input beat to the last output beat, both
        counted, with streams that are never late and an output that is never blocked."""
        wait = max(0, self.tile_gap - self.first_beats(k))
        return self.scheme.fill_cycles(k) + tiles * self.tile_cycles(k) - wait + self.drain_latency
