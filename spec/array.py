"""The configuration of one design: its fields, and every width and latency derived from them.

The hardware, the golden model, the manifest and the documents read widths and latencies here.
"""

from dataclasses import dataclass
from functools import cached_property

from .errors import UserError
from .fields import DATAPATHS, RECODED, Fields
from .formats.inside import AccumulatorFormat, NormalFormat, ScaledDigits, accumulator_format, normal_format
from .formats.numbers import ACT_FORMATS, FP16, OUT_FORMATS, FloatFormat, IntFormat, signed_bits

__all__ = ["DATAPATHS", "RECODED", "Config"]

# Register stages of the arithmetic units, in cycles from input to output.
INT_TO_FLOAT_STAGES = 2
MULTIPLY_STAGES = 3
ADD_STAGES = 4
CAST_STAGES = 1

ALIGN_STAGES = 2
"""Cycles that the first beat of an aligned group waits besides those in which its group enters."""

CARRY_SPACING = 3
"""Columns of one carry chain of the `carry_save` accumulator. Of 1 to 10, 3 gave the least area x delay."""


@dataclass(frozen=True, kw_only=True)
class Config(Fields):
    """One mpGEMM array: formats, group size, shape and datapath (`Fields`), and what follows from them."""

    # Formats

    @property
    def weight_code(self) -> IntFormat:
        """Format of weight codes and zero points outside the array."""
        return IntFormat(self.weight_bits, self.weight_signed)

    @property
    def weight(self) -> IntFormat:
        """Format of weights and zero points inside the array: always signed.

        Unsigned codes (and zero points) lose 2**(weight_bits-1), which leaves their difference.
        """
        return IntFormat(self.weight_bits)

    @property
    def act_code(self) -> IntFormat | FloatFormat:
        """Format of activations outside the array."""
        return ACT_FORMATS.get(self.act_format) or IntFormat(self.act_bits)

    @property
    def act_float(self) -> FloatFormat:
        """`act_code` where it is a floating-point format."""
        return ACT_FORMATS[self.act_format]

    @property
    def act_normal(self) -> NormalFormat:
        """Format of activations inside an array of scheme "fp_mac"."""
        return normal_format(self.act_float)

    @property
    def weight_digits(self) -> ScaledDigits:
        """Format of weights inside an array of scheme "fp_mac"."""
        return ScaledDigits(self.weight_bits)

    @cached_property
    def float_sum(self) -> AccumulatorFormat:
        """Format of P in an array of scheme "fp_mac"."""
        act = self.act_normal
        return accumulator_format(act.offset, act.lowest, act.highest + self.weight_bits - 1, self.group)

    @cached_property
    def float_row_sum(self) -> AccumulatorFormat:
        """Format of S in an array of scheme "fp_mac"."""
        act = self.act_normal
        return accumulator_format(act.offset, act.lowest, act.highest, self.group)

    @property
    def act(self) -> IntFormat:
        """Format of integer or aligned activations inside the array."""
        return IntFormat(self.align_bits or self.act_bits)

    @property
    def act_limits(self) -> tuple[int, int]:
        """The least and the greatest integer of an activation; aligned ones are symmetric."""
        return (-self.act.max if self.align_bits else self.act.min), self.act.max

    @property
    def scale(self) -> FloatFormat:
        return FP16

    @property
    def out(self) -> FloatFormat:
        return OUT_FORMATS[self.out_format]

    # Widths

    @property
    def has_row_sum(self) -> bool:
        """Dequantization subtracts zero point times row sum (an unsigned code implies one)."""
        return self.zero_point or not self.weight_signed

    @cached_property
    def sum_bits(self) -> int:
        """Width of P, the signed sum of products of a group: exact, it never wraps."""
        products = [w * a for w in (self.weight.min, self.weight.max) for a in self.act_limits]
        return max(self.acc_bits, signed_bits(self.group * min(products), self.group * max(products)))

    @property
    def has_infinities(self) -> bool:
        """A wire beside a row's activations says that its aligned group holds infinities or NaN."""
        return self.scheme == "aligned" and self.act_float.infinities

    @property
    def lane_wires(self) -> int:
        """Wires of an activation inside the array."""
        return self.act_normal.bits if self.scheme == "fp_mac" else self.act.bits

    @property
    def act_wires(self) -> int:
        """Wires of a row's activations in a cycle: all lanes, lane 0 lowest, and above them what
        `has_infinities` adds."""
        return self.lanes * self.lane_wires + self.has_infinities

    @property
    def weight_wires(self) -> int:
        """Wires of a weight inside the array: its bits, or digits (`mixpe.hw.arith.recode`,
        `ScaledDigits`)."""
        if self.scheme == "fp_mac":
            return self.weight_digits.wires
        if self.datapath not in RECODED:
            return self.weight_bits
        return 3 * (self.weight_bits // 2) + 2 * (self.weight_bits % 2)

    @cached_property
    def carry_columns(self) -> tuple[int, ...]:
        """Columns of P at which the accumulator keeps a carry apart, which the drain adds."""
        return (
            tuple(range(CARRY_SPACING, self.sum_bits, CARRY_SPACING)) if self.datapath == "carry_save" else ()
        )

    @property
    def final_adder(self) -> str:
        """What ends a bit heap (`mixpe.hw.arith.heap.BitHeap.total`)."""
        return "plus" if self.target == "fpga" else self.adder

    @property
    def drain_bits(self) -> int:
        """Width of P as it leaves a processing element: the sum, then its saved carries."""
        if self.scheme == "fp_mac":
            return self.float_sum.bits
        return self.sum_bits + len(self.carry_columns)

    @cached_property
    def row_sum_bits(self) -> int:
        """Width of S, the signed sum of activations of a group, as it leaves its row."""
        if self.scheme == "fp_mac":
            return self.float_row_sum.bits
        low, high = self.act_limits
        return signed_bits(self.group * low, self.group * high)

    @cached_property
    def corrected_bits(self) -> int:
        """Width of C = P - z*S, the signed sum of a group after the zero point."""
        if not self.has_row_sum:
            return self.sum_bits
        code, zero = self.weight_code, self.weight_code if self.zero_point else IntFormat(1, False)
        low = code.min - zero.max if self.zero_point else code.min
        high = code.max - zero.min if self.zero_point else code.max
        products = [w * a for w in (low, high) for a in self.act_limits]
        return signed_bits(self.group * min(products), self.group * max(products))

    @property
    def align_offset(self) -> int:
        """A group of aligned activations counts in units of 2**(E - align_offset), where E is the largest
        exponent field of the group (1 for subnormals and zero)."""
        return self.act_float.bias + self.align_bits - 2

    @property
    def group_code_bits(self) -> int:
        """Width of what the dequantizer must know of a row's aligned group: from bit 0 up E, whether the
        group holds NaN, and, if the format has infinities, whether it holds +infinity and -infinity."""
        return self.act_float.exponent_bits + 1 + 2 * self.has_infinities

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
        return 3 + self.resolve_stages

    @property
    def resolve_stages(self) -> int:
        """Cycles that a sum's word takes to become the sum: saved carries added, or FP32 made of it."""
        return 1 if self.carry_columns or self.scheme == "fp_mac" else 0

    @property
    def corrected_latency(self) -> int:
        """Until C = P - z*S is known."""
        stages = MULTIPLY_STAGES + ADD_STAGES if self.scheme == "fp_mac" else 1
        return self.sum_latency + stages * self.has_row_sum

    @property
    def scale_latency(self) -> int:
        """Until fl32(C) meets its scale."""
        return self.corrected_latency + (0 if self.scheme == "fp_mac" else INT_TO_FLOAT_STAGES)

    @property
    def product_latency(self) -> int:
        """Until D = fl32(C) * s meets the running sum Y."""
        return self.scale_latency + MULTIPLY_STAGES

    @property
    def write_latency(self) -> int:
        """Until the new Y is written to the column's memory."""
        return self.product_latency + ADD_STAGES

    @property
    def output_latency(self) -> int:
        """From reading a row's Y until the row is valid on the output stream."""
        return 1 + (MULTIPLY_STAGES if self.token_scale else 0) + CAST_STAGES

    @property
    def drain_latency(self) -> int:
        """From a tile's last operands until its last row is on the output stream (never blocked)."""
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

    def fill_cycles(self, k: int) -> int:
        """Cycles from a run's first beat until the array takes it: aligning needs a group's largest exponent
        first, and later groups in the meantime."""
        return self.first_beats(k) + ALIGN_STAGES if self.scheme == "aligned" else 0

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
        return self.fill_cycles(k) + tiles * self.tile_cycles(k) - wait + self.drain_latency
