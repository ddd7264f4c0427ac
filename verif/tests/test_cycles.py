"""Beats and cycles: the configuration's formulas against an event-by-event model."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.stages import ALIGN_STAGES


def test_beats():
    config = Config(group=10, lanes=4)
    assert config.beats(1) == [1]
    assert config.beats(10) == [3]
    assert config.beats(11) == [3, 1]
    assert config.beats(29) == [3, 3, 3]
    assert Config(group=16384).beats(7) == [7]
    for k in (0, -1):
        with pytest.raises(UserError, match=rf"^k must be at least 1, not {k}$"):
            config.beats(k)


def test_every_inner_index_has_its_place():
    rng = random.Random(1)
    for _ in range(500):
        config = Config(group=rng.randint(1, 50), lanes=rng.choice((1, 2, 4, 8)))
        k = rng.randint(1, 300)
        lengths = [min(config.group, k - start) for start in range(0, k, config.group)]
        filled = []
        for length in lengths:
            taken = 0
            while length > 0:
                length -= config.lanes
                taken += 1
            filled.append(taken)
        assert config.beats(k) == filled


ACTIVATIONS: list[dict[str, Any]] = [{}, {"act_format": "fp16", "align_bits": 13}, {"act_format": "fp8_e4m3"}]


def random_config(rng: random.Random, **fields: int) -> Config:
    cols = fields.pop("cols", rng.choice((1, 2, 3, 5, 8, 16, 40, 128)))
    rows = fields.pop("rows", rng.choice((1, 2, 3, 5, 8, 16, 40, 128)))
    cluster = 1 if rows % 2 or cols % 2 else rng.choice((1, 2))
    shares = [0, 0, 0, cluster, *(count for count in range(2, cols + 1) if cols % count == 0)]
    return Config(
        cols=cols,
        rows=rows,
        cluster=cluster,
        share=rng.choice(shares),
        weight_signed=rng.random() < 0.5,
        zero_point=rng.random() < 0.5,
        token_scale=rng.random() < 0.5,
        group=rng.choice((1, 2, 5, 8, 31, 32, 64, 100, 128)),
        lanes=rng.choice((1, 2, 4, 8)),
        datapath=rng.choice(("shift_add", "carry_save")),
        **rng.choice(ACTIVATIONS),
    )


class Aligning:
    """Beats on their way through the edge of an aligned array, whose stream is never late.

    A beat a cycle is taken into a memory for a group and one beat more; the last beat of a group waits until
    the group before begins to be read. A group is read when it is complete: a beat goes from the memory into
    a register and from there into the output's, each when the beat before it makes room, and leaves
    `ALIGN_STAGES` cycles after it was read, at the earliest.
    """

    def __init__(self, config: Config):
        self.depth = config.group_beats + 1
        self.taken, self.read, self.begun, self.moved = -1, [], -1, -1

    def take(self, count: int) -> None:
        """Takes a group; all beats before have left."""
        first = len(self.read)
        for beat in range(count):
            self.taken += 1
            if (freed := first + beat - self.depth) >= 0:
                self.taken = max(self.taken, self.read[freed] + 1)
        self.taken = max(self.taken, self.begun + 1)
        self.begun = max(self.taken + 1, self._next_read())

    def leave(self, before: int, beat: int) -> int:
        """The earliest cycle in which the next beat, of index `beat` in its group, leaves, after the one
        that left in cycle `before`."""
        self.read.append(self.begun if beat == 0 else self._next_read())
        self.moved = max(self.read[-1] + ALIGN_STAGES - 1, before)
        return self.moved + 1

    def _next_read(self) -> int:
        return max(self.read[-1] + 1, self.moved) if self.read else 0


def simulated(config: Config, beats: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Steps through tiles of groups of `beats`, beat by beat, with streams that are never late.

    Returns the cycle of each group's end, tile by tile, and of each output beat. The rules: a beat a cycle;
    the end of a group waits for `group_gap`; the end of a tile's first group waits until the last row of the
    tile before has left the dequantizers' memories, or its first row where banks of columns hold their sums.
    A bank writes an item a cycle, row by row, each bank and segment as many cycles behind as its columns and
    rows are; a row leaves when all banks have written it, one in as many cycles as a bank has columns, and
    not while a bank reads running sums. Beats to be aligned come out of `Aligning`.
    """
    cycle, last_end, memories_free, read = -1, None, 0, -config.bank_cols
    edge = Aligning(config) if config.scheme.name == "aligned" else None
    ends, outs = [], []
    for tile in beats:
        ends.append([])
        for index, count in enumerate(tile):
            if edge:
                edge.take(count)
            for beat in range(count):
                cycle = max(cycle + 1, edge.leave(cycle, beat) if edge else 0)
                if beat < count - 1:
                    continue
                while (last_end is not None and cycle < last_end + config.group_gap) or (
                    index == 0 and cycle < memories_free
                ):
                    cycle += 1
                last_end = cycle
                ends[-1].append(cycle)
        busy = set()
        if config.banked and len(tile) > 1:
            starts = [cycle + item for item in range(0, config.drain_items, config.bank_cols)]
            busy = {start + lag + config.product_latency - 1 for start in starts for lag in config.lags}
        for row in range(config.rows):
            written = cycle + config.write_latency + (row + 1) * config.bank_cols - 1
            written += config.cols - config.bank_cols + config.read_wait
            read = max(written + 1, read + config.bank_cols)
            while read in busy:
                read += 1
            outs.append(read + config.output_latency)
            if row == 0 or not config.banked:
                memories_free = read + 1
    return ends, outs


def test_cycles_by_events():
    rng = random.Random(2)
    waited = 0
    for _ in range(1500):
        config = random_config(rng)
        k, tiles = rng.randint(1, 4 * config.group * config.lanes), rng.randint(2, 5)
        ends, outs = simulated(config, [config.beats(k)] * tiles)
        assert outs[-1] + 1 == config.run_cycles(k, tiles), (config, k, tiles)
        assert outs[config.rows - 1] + 1 == config.run_cycles(k), (config, k)
        intervals = {after[-1] - before[-1] for before, after in itertools.pairwise(ends)}
        assert intervals == {config.tile_cycles(k)}, (config, k, tiles)
        waited += config.tile_cycles(k) > sum(config.beats(k))
    assert 100 < waited < 1400  # tiles with bubbles and without


def test_long_groups_lose_no_cycle():
    config = Config()
    assert config.tile_cycles(4096) == 4096
    assert config.run_cycles(4096, 3) == 3 * 4096 + config.drain_latency


def test_alignment_costs_a_group_once():
    """Two stages beside the group itself, a shorter one if there is no whole one."""
    config = Config(act_format="fp16")
    assert config.run_cycles(4096, 3) == Config().run_cycles(4096, 3) + 128 + 2
    assert config.tile_cycles(4096) == 4096
    assert config.run_cycles(100) == Config().run_cycles(100) + 100 + 2
    assert replace(config, name="", lanes=8).scheme.fill_cycles(4096) == 16 + 2
    for plain in (Config(), Config(act_format="fp16", fp_scheme="fp_mac")):
        assert plain.scheme.fill_cycles(4096) == 0


def test_nothing_is_used_twice():
    """What the gaps are for: buses, running sums and scale registers, followed cycle by cycle."""
    rng = random.Random(3)
    for _ in range(150):
        config = random_config(rng, rows=rng.randint(1, 12), cols=rng.randint(1, 12))
        share, rows = config.bank_cols, config.segment_rows
        tiles = [config.beats(rng.randint(1, 3 * config.group)) for _ in range(4)]
        ends, outs = simulated(config, tiles)
        bus, items, written, scales, group, follow = set(), set(), {}, {}, 0, 0
        held, followed, reads = {}, {}, {}
        uses = []
        for number, tile in enumerate(ends):
            for index, end in enumerate(tile):
                uses.append((end, group % config.scale_slots, group))
                for row, col in itertools.product(range(config.rows), range(config.cols)):
                    (segment, inside), (bank, place) = divmod(row, rows), divmod(col, share)
                    follows = end + 2 + row // config.cluster
                    cycle = follows + col // config.cluster
                    assert (segment, row % config.cluster, col, cycle) not in bus, "two sums on one bus"
                    bus.add((segment, row % config.cluster, col, cycle))
                    lag = segment * rows + bank * share
                    item = end + lag + inside * share + place
                    assert (segment, bank, item) not in items, "two items at once"
                    items.add((segment, bank, item))
                    if share > 1:
                        assert held.get((row, col), -1) <= cycle, "sum overwritten while held"
                        assert cycle < item + 3, "sum not there in its turn"
                        held[row, col] = item + 3
                        assert followed.get(row, -1) <= follows, "what belongs to a row overwritten"
                        if col == 0:
                            assert follows < item + config.sum_latency - 1
                            follow = item + config.sum_latency - 1
                    # A memory read shows what was written in earlier cycles.
                    if index:
                        begun = item - place + config.product_latency - 1
                        assert written[row, col] < begun, "running sum too late"
                    else:
                        assert reads.get(row, -1) <= item + config.write_latency, "result overwritten"
                        if share > 1:
                            assert reads.get(row, -1) < item + 1, "a sum is held up"
                    written[row, col] = item + config.write_latency
                    scales[group] = max(scales.get(group, 0), item + config.scale_latency)
                    if col == config.cols - 1 and share > 1:
                        followed[row] = follow
                group += 1
            for row in range(config.rows):
                reads[row] = outs[number * config.rows + row] - config.output_latency
        for end, slot, group in uses:
            # Written at the end of a group, seen one cycle later: until then the slot is the older group's.
            older = [other for other_end, other_slot, other in uses if other_slot == slot and other < group]
            assert all(scales[other] <= end for other in older), "scale overwritten while in use"


def test_slot_count_is_least():
    """One register more per column than the overlap of groups asks for would be waste."""
    for rows, cols, group in itertools.product((1, 4, 16, 128), (1, 4, 16, 128), (1, 8, 32, 128, 512)):
        config = Config(rows=rows, cols=cols, group=group)
        if config.scale_slots > 1:
            in_use = config.scale_latency + config.drain_items - 1 + config.lags[-1]
            assert (config.scale_slots - 1) * config.group_gap < in_use
        if group >= 2 * (config.drain_items + cols):
            assert config.scale_slots == 1
