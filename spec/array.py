"""The configuration of one array: its shape, and every latency and cycle formula derived from its fields.

The hardware, the golden model, the manifest and the documents read widths (`mixpe.spec.widths`) and latencies
here.
"""

from dataclasses import dataclass
from functools import cached_property

from .errors import UserError
from .fields import DATAPATHS
from .formats.matrix import Member
from .stages import ADD_STAGES, CAST_STAGES, MULTIPLY_STAGES
from .widths import MATRIX_FIELDS, Widths

__all__ = ["DATAPATHS", "MATRIX_FIELDS", "Config"]

_USUAL_GROUP = 128
"""Weights of a group, or of a K, for which dequantizers are shared where the group is longer still."""

_MOST_SHARED = 16
"""Columns that share a dequantizer at most, unless asked for."""


@dataclass(frozen=True, kw_only=True)
class Config(Widths):
    """One mpGEMM array: formats, group size, shape and datapath (`Fields`), and what follows from them.

    Columns stand in banks of `bank_cols` neighbours, and rows in `segments` of `segment_rows`. A bank's part
    of a segment has a dequantizer, which takes its sums one a cycle, row by row. So a group's sums take
    `drain_items` cycles.
    """

    # How sums leave the array

    @cached_property
    def bank_cols(self) -> int:
        """Columns that share a dequantizer."""
        if self.share:
            return self.share
        shares = [count for count in range(2, min(self.cols, _MOST_SHARED) + 1) if self.cols % count == 0]
        fitting = [count for count in shares if self._gap(self.rows, count) <= self._usual_beats]
        return max(fitting, default=self.cluster)

    @property
    def banked(self) -> bool:
        """Whether dequantizers serve several columns each, whose sums are held until it is their turn."""
        return self.bank_cols > 1

    @cached_property
    def segments(self) -> int:
        """Parts of a column that drain side by side: so many that the drain does not hold up usual groups."""
        enough, segments = max(self._usual_beats, ADD_STAGES + 2), 1
        while not self.banked and self.rows // segments > enough and self.rows % (2 * segments) == 0:
            segments *= 2
        return segments

    @property
    def buses(self) -> int:
        """Buses of a column in a segment: rows whose sums come in the same cycle."""
        return self.cluster

    @property
    def held_words(self) -> int:
        """Words, of as many sums as a column has buses, in which a bank holds the sums of a column."""
        return self.segment_rows // self.cluster

    @property
    def banks(self) -> int:
        """Banks of columns."""
        return self.cols // self.bank_cols

    @cached_property
    def segment_rows(self) -> int:
        """Rows that drain one after another."""
        return self.rows // self.segments

    @cached_property
    def drain_items(self) -> int:
        """Sums that a dequantizer takes of each group."""
        return self.segment_rows * self.bank_cols

    @cached_property
    def lags(self) -> tuple[int, ...]:
        """Cycles that each dequantizer lags behind the first: those of all banks, segment by segment."""
        return tuple(
            segment * self.segment_rows + bank * self.bank_cols
            for segment in range(self.segments)
            for bank in range(self.banks)
        )

    @property
    def _usual_beats(self) -> int:
        return -(-min(self.group, _USUAL_GROUP) // self.lanes)

    def _gap(self, rows: int, cols: int) -> int:
        """Returns the least cycles between ends of groups for a dequantizer of so many rows and columns.

        It takes a sum a cycle. Of each row, the new running sums are there before the old ones are read
        again, and its sums, and what belongs to it, are used before those of the next group come.
        """
        if cols == 1:
            return max(rows, ADD_STAGES + 2)
        last_row = (rows - 1) * cols - (rows - 1) // self.cluster
        last_col = (self.cols - 1) - (self.cols - 1) // self.cluster
        follow = 1 + self.scheme.resolve_stages + last_row
        return max(rows * cols, ADD_STAGES + cols + 1, follow, 1 + last_row + last_col)

    @property
    def row_index_bits(self) -> int:
        """Width of the index of a tile's row."""
        return max(1, (self.rows - 1).bit_length())

    @property
    def segment_row_bits(self) -> int:
        """Width of the index of a row in its segment."""
        return max(1, (self.segment_rows - 1).bit_length())

    @property
    def held_word_bits(self) -> int:
        """Width of the index of a word of sums that are held."""
        return max(1, (self.held_words - 1).bit_length())

    @property
    def bank_col_bits(self) -> int:
        """Width of the index of a column in its bank."""
        return max(1, (self.bank_cols - 1).bit_length())

    @property
    def scale_slot_bits(self) -> int:
        """Width of the index of a slot for the members of a group."""
        return max(1, (self.scale_slots - 1).bit_length())

    # Latencies, in cycles. Cycle 0 brings a group's last operands into the top. Column j lags by
    # j // `cluster` and row i by i // `cluster` up to the bus. Behind it, a dequantizer lags as `lags` says,
    # and its sum n by n.

    bus_latency = 2
    """Until a group's sum is on its bus, from the accumulator."""

    item_latency = bus_latency + 1
    """Until a sum is out of the hold of a bank, or in the dequantizer's register where nothing is held."""

    @property
    def sum_latency(self) -> int:
        """Until P stands in the dequantizer's register, saved carries added."""
        return self.item_latency + self.banked + self.scheme.resolve_stages

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
        """Until the new Y is written to the dequantizer's memory."""
        return self.product_latency + ADD_STAGES

    @property
    def finish_latency(self) -> int:
        """Until a tile's row 0 can be read; its row i can be i * `bank_cols` later."""
        return self.write_latency + self.cols + self.read_wait

    @property
    def read_wait(self) -> int:
        """Cycles that finished rows wait, so that reading them meets no reading of running sums."""
        return int(self.banked and (ADD_STAGES + 1) % self.bank_cols == 0)

    @property
    def output_latency(self) -> int:
        """Cycles from reading a row's Y until the row is valid on the output stream."""
        return self.bank_cols + MULTIPLY_STAGES * len(self.row_members) + CAST_STAGES

    @property
    def drain_latency(self) -> int:
        """Cycles from a tile's last operands until its last row is on the output stream (never blocked)."""
        return self.finish_latency + (self.rows - 1) * self.bank_cols + self.output_latency

    # Throughput

    @property
    def group_beats(self) -> int:
        """Input beats (cycles) of a whole group."""
        return -(-self.group // self.lanes)

    @cached_property
    def group_gap(self) -> int:
        """Least cycles from the end of a group to the end of the next one of the same tile.

        A shorter group waits with bubbles: the drain needs a cycle for each of `drain_items`, the running
        sum's loop those through the adder. Up to a whole group's length the gap also covers the time a
        group's scales are in use, which leaves one register per column for them.
        """
        least = self._gap(self.segment_rows, self.bank_cols)
        return max(least, min(self.group_beats, self._scales_in_use))

    @property
    def tile_gap(self) -> int:
        """Least cycles from the end of a tile to the end of the next tile's first group.

        With a dequantizer for each column, the tile's last row has left their memories before the next tile
        enters them. In banks, its first row has, and sums are held until the others have.
        """
        rows = 0 if self.banked else self.rows - 1
        return max(self.group_gap, self.finish_latency + rows + 1)

    @property
    def scale_slots(self) -> int:
        """Groups whose scales are in use at the same time."""
        return -(-self._scales_in_use // self.group_gap)

    @property
    def _scales_in_use(self) -> int:
        """Cycles from a group's last operands until its scales can be replaced."""
        return self.scale_latency + self.lags[-1] + self.drain_items - 1

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
