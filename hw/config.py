"""The configuration of one design: its fields, and every width and latency derived from them.

The hardware, the golden model, the manifest and the documents read widths and latencies here.
"""

import re
from dataclasses import dataclass, fields
from functools import cached_property

from .errors import UserError
from .formats import FLOAT_FORMATS, FP16, FloatFormat, IntFormat, signed_bits
from .reserved import RESERVED

# Register stages of the arithmetic units, in cycles from input to output.
INT_TO_FLOAT_STAGES = 2
MULTIPLY_STAGES = 3
ADD_STAGES = 4
CAST_STAGES = 1

DATAPATHS = ("shift_add", "multiplier", "bit_heap", "booth", "carry_save")
RECODED = ("booth", "carry_save")
"""Datapaths that take weights as digits (`mixpe.hw.recode`)."""

CARRY_SPACING = 3
"""Columns of one carry chain of the `carry_save` accumulator. Of 1 to 10, 3 gave the least area x delay."""

_RANGES = {
    "weight_bits": (2, 8),
    "act_bits": (4, 16),
    "group": (1, 16384),
    "acc_bits": (0, 48),
    "rows": (1, 128),
    "cols": (1, 128),
}
_CHOICES = {
    "lanes": (1, 2, 4, 8),
    "datapath": DATAPATHS,
    "adder": ("ripple", "prefix"),
    "target": ("asic", "fpga"),
    "out_format": tuple(FLOAT_FORMATS),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """One mpGEMM array: formats, group size, shape and datapath.

    Parameters
    ----------
    name: prefix of every Verilog module and file; a description of the other fields if empty.
    weight_bits: width of a weight code, 2 to 8.
    weight_signed: weight codes are two's complement; else plain binary.
    zero_point: every group and column has a zero point, an integer of the weight format.
    act_bits: width of an activation, two's complement, 4 to 16.
    group: weights of one column that share a scale (and zero point), 1 to 16384. A K that is no
        multiple leaves a shorter last group; per-channel quantization is one group over all of K.
    rows, cols: processing elements, 1 to 128 each; a tile of the product is rows x cols.
    lanes: products per processing element and cycle: 1, 2, 4 or 8.
    datapath: how a processing element multiplies and adds (`mixpe.hw.datapath`): "shift_add",
        "multiplier", "bit_heap", "booth" or "carry_save".
    adder: how "bit_heap" and "booth" end their sum: "ripple", a carry chain, or "prefix", a
        parallel-prefix adder.
    target: "asic", or "fpga": sums are then written with `+`, which becomes carry chains.
    acc_bits: least width of a group's sum; 0: what a group needs. 32 gives the usual INT8 accumulator.
    out_format: of the result: "fp32", "fp16" or "bf16".
    token_scale: every row of the result is multiplied by an FP32 scale before the final cast.

    Raises `UserError` that names the field, its value and what is allowed.
    """

    name: str = ""
    weight_bits: int = 4
    weight_signed: bool = True
    zero_point: bool = False
    act_bits: int = 8
    group: int = 128
    rows: int = 16
    cols: int = 16
    lanes: int = 1
    datapath: str = "shift_add"
    adder: str = "ripple"
    target: str = "asic"
    acc_bits: int = 0
    out_format: str = "fp32"
    token_scale: bool = False

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise UserError(
                    f"{field.name} must be of type {field.type.__name__}, not {value!r}"  # type: ignore[union-attr]
                )
        for name, (low, high) in _RANGES.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise UserError(f"{name} must be {low} to {high}, not {value}")
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                choices = ", ".join(str(choice) for choice in allowed)
                raise UserError(f"{name} must be one of {choices}, not {value!r}")
        if self.adder == "prefix" and (self.datapath not in ("bit_heap", "booth") or self.target == "fpga"):
            raise UserError(
                "adder prefix goes with datapath bit_heap or booth and target asic, "
                f"not with {self.datapath} and {self.target}"
            )
        if not self.name:
            object.__setattr__(self, "name", self._description)
        elif not _NAME.fullmatch(self.name):
            raise UserError(
                "name must be a lower-case letter followed by at most 62 lower-case letters, "
                f"digits and underscores, not {self.name!r}"
            )
        elif self.name in RESERVED:
            raise UserError(f"name must be no reserved word of Verilog, not {self.name!r}")

    @property
    def _description(self) -> str:
        weight = f"w{self.weight_bits}{'' if self.weight_signed else 'u'}{'z' if self.zero_point else ''}"
        parts = [f"{weight}a{self.act_bits}", f"{self.rows}x{self.cols}", f"g{self.group}"]
        parts += [f"l{self.lanes}"] if self.lanes > 1 else []
        parts += [self.datapath] if self.datapath != "shift_add" else []
        parts += [self.adder] if self.adder != "ripple" else []
        parts += [self.target] if self.target != "asic" else []
        parts += [f"acc{self.acc_bits}"] if self.acc_bits else []
        parts += [self.out_format] if self.out_format != "fp32" else []
        parts += ["t"] if self.token_scale else []
        return "_".join(parts)

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
    def act(self) -> IntFormat:
        return IntFormat(self.act_bits)

    @property
    def scale(self) -> FloatFormat:
        return FP16

    @property
    def out(self) -> FloatFormat:
        return FLOAT_FORMATS[self.out_format]

    # Widths

    @property
    def has_row_sum(self) -> bool:
        """Dequantization subtracts zero point times row sum (an unsigned code implies one)."""
        return self.zero_point or not self.weight_signed

    @cached_property
    def sum_bits(self) -> int:
        """Width of P, the signed sum of products of a group: exact, it never wraps."""
        products = [w * a for w in (self.weight.min, self.weight.max) for a in (self.act.min, self.act.max)]
        return max(self.acc_bits, signed_bits(self.group * min(products), self.group * max(products)))

    @property
    def weight_wires(self) -> int:
        """Wires of a weight inside the array: its bits, or its digits' (`mixpe.hw.recode`)."""
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
        """What ends a bit heap (`mixpe.hw.heap.BitHeap.total`)."""
        return "plus" if self.target == "fpga" else self.adder

    @property
    def drain_bits(self) -> int:
        """Width of P as it leaves a processing element: the sum, then its saved carries."""
        return self.sum_bits + len(self.carry_columns)

    @cached_property
    def row_sum_bits(self) -> int:
        """Width of S, the signed sum of activations of a group."""
        return signed_bits(self.group * self.act.min, self.group * self.act.max)

    @cached_property
    def corrected_bits(self) -> int:
        """Width of C = P - z*S, the signed sum of a group after the zero point."""
        if not self.has_row_sum:
            return self.sum_bits
        code, zero = self.weight_code, self.weight_code if self.zero_point else IntFormat(1, False)
        low = code.min - zero.max if self.zero_point else code.min
        high = code.max - zero.min if self.zero_point else code.max
        products = [w * a for w in (low, high) for a in (self.act.min, self.act.max)]
        return signed_bits(self.group * min(products), self.group * max(products))

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
        """Cycles that adding a sum's saved carries takes."""
        return 1 if self.carry_columns else 0

    @property
    def corrected_latency(self) -> int:
        """Until C = P - z*S is known."""
        return self.sum_latency + self.has_row_sum

    @property
    def scale_latency(self) -> int:
        """Until fl32(C) meets its scale."""
        return self.corrected_latency + INT_TO_FLOAT_STAGES

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
        scales_in_use = self.rows + self.cols + self.corrected_latency
        return max(self.rows, ADD_STAGES + 2, min(self.group_beats, scales_in_use))

    @property
    def tile_gap(self) -> int:
        """Least cycles from the end of a tile to the end of the next tile's first group.

        The tile's last row has left the columns' memories before the next tile enters them.
        """
        return self.write_latency + self.rows + self.cols

    @property
    def scale_slots(self) -> int:
        """Groups whose scales are in use at the same time."""
        return -(-(self.rows + self.cols + self.corrected_latency) // self.group_gap)

    def beats(self, k: int) -> list[int]:
        """Input beats of every group of a tile with inner dimension `k`; the last one may be shorter."""
        if k < 1:
            raise UserError(f"k must be at least 1, not {k}")
        whole, rest = divmod(k, self.group)
        return [self.group_beats] * whole + ([-(-rest // self.lanes)] if rest else [])

    def tile_cycles(self, k: int) -> int:
        """Cycles from one tile to the next, back to back: the interval in the steady state."""
        first, *others = self.beats(k)
        return max(first, self.tile_gap) + sum(max(beats, self.group_gap) for beats in others)

    def run_cycles(self, k: int, tiles: int = 1) -> int:
        """Cycles of `tiles` tiles back to back, from the first input beat to the last output beat, both
        counted, with streams that are never late and an output that is never blocked."""
        wait = max(0, self.tile_gap - self.beats(k)[0])
        return tiles * self.tile_cycles(k) - wait + self.drain_latency
