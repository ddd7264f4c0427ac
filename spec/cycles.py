"""Formulas for what a command moves and how long it takes; the counters are compared with them.

docs/core.md states them, and how exact those of cycles are. A product is M x K x N. Functions that take m, k
or n are about a product of that shape.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from math import ceil

from . import layout
from .bursts import all_token_words, cut, read_bursts, row_words, tile_words, token_words, words
from .core import SIZE_BITS, CoreConfig

_REQUEST_STAGES = 2
"""Cycles until a request is on the bus, from the loader's asking or from a burst's end that makes room for
another: two registers."""

_WEIGHT_STAGES = 3
"""Cycles from a word of weights on the bus to its first beat: the queue's memory, its word, the store of
beats."""

_ACT_STAGES = 2
"""Cycles from the last word of a block of activations on the bus to its first beat: the bank's memory, its
word."""

_CLAIM_STAGES = 3
"""Cycles from reading a bank's last word to the loader's asking for the next words that go there."""


_DIVISION_STAGES = SIZE_BITS + 1
"""Cycles to divide K by a group that is no power of two."""


def divides(config: CoreConfig) -> bool:
    """Returns whether planning divides by the group, which is no power of two then."""
    return config.array.group.bit_count() != 1


def planning_cycles(config: CoreConfig) -> int:
    """Returns the cycles from a command's K to the sizes of its tiles."""
    return 2 + _DIVISION_STAGES * divides(config)


def tiles(m: int, n: int, config: CoreConfig) -> int:
    """Returns how many tiles of results there are."""
    return layout.row_strips(m, config.array) * layout.col_tiles(n, config.array)


def beats(m: int, k: int, n: int, config: CoreConfig) -> int:
    """Returns the cycles in which the array takes operands."""
    return tiles(m, n, config) * layout.beats(k, config.array)


def read_words(m: int, k: int, n: int, config: CoreConfig) -> dict[str, int]:
    """Returns the words that are read, by operand."""
    array = config.array
    strips, cols = layout.row_strips(m, array), layout.col_tiles(n, array)
    acts, weights, scales = tile_words(k, config)
    found = {
        "activations": m * acts * (1 if config.resident(k) else cols),
        "weights": strips * cols * weights,
        "scales": strips * cols * scales,
    }
    if array.row_members:
        found["token scales"] = all_token_words(m, config)
    return found


def read_bytes(m: int, k: int, n: int, config: CoreConfig) -> int:
    """Returns the bytes that are read, in whole words."""
    return sum(read_words(m, k, n, config).values()) * config.word_bytes


def write_bytes(m: int, n: int, config: CoreConfig) -> int:
    """Returns the bytes that are written: the results, and no others."""
    return m * layout.out_row_bytes(n, config.array)


def setup_cycles(config: CoreConfig) -> int:
    """Returns the cycles of a command before operands are due.

    They are those of planning, a cycle before and one behind.
    """
    return planning_cycles(config) + 2


def array_stalls(m: int, k: int, n: int, config: CoreConfig) -> int:
    """Returns the cycles in which operands that are always there wait for the array; results never wait."""
    array = config.array
    wait = max(0, array.tile_gap - array.first_beats(k))
    return tiles(m, n, config) * array.tile_cycles(k) - beats(m, k, n, config) - wait


def drain_cycles(
    m: int, n: int, config: CoreConfig, *, write_latency: int, bytes_per_cycle: float | None = None
) -> int:
    """Returns the cycles behind a product's last operands, if the tile before is written by then."""
    array = config.array
    rows, pace = (m - 1) % array.rows + 1, array.bank_cols
    time = row_words(n, config)[-1][0] * _word_cycles(config, bytes_per_cycle)
    # Behind the last row that counts come its answer, and the rows that are dropped.
    end = _row_taken(rows - 1, time, write_latency, config) + time + write_latency + 1
    if rows < array.rows:
        dropped = (array.rows - 1 - rows) * pace + 1
        end = max(end, _row_taken(rows, time, write_latency, config) + dropped)
    last = (array.rows - 1) * pace
    return ceil(array.drain_latency - last + max(last + 1, end))


@dataclass(frozen=True)
class Estimate:
    """Holds the cycles of a product by the formulas of docs/core.md.

    compute: cycles of tiles back to back in the array.
    memory: the least cycles that the bus, latencies, or results that wait take.
    start: cycles until the array takes the first operands.
    finish: cycles behind the last operands.
    cycles: all cycles of the product.
    """

    compute: int
    memory: int
    start: int
    finish: int
    cycles: int

    @property
    def bound(self) -> str:
        """Names what takes longer: "memory" or "compute"."""
        return "memory" if self.memory > self.compute else "compute"


def estimate(
    m: int,
    k: int,
    n: int,
    config: CoreConfig,
    *,
    latency: int,
    write_latency: int,
    bytes_per_cycle: float | None = None,
) -> Estimate:
    """Estimates how long a product takes whose regions begin at multiples of a burst.

    latency: cycles of memory from a read request to its first word. write_latency: cycles from a burst's last
    word to its answer. bytes_per_cycle: what memory moves, reads and writes together; None: a word each way
    in every cycle.
    """
    array = config.array
    product = _Product(m, k, n, config, latency, write_latency, bytes_per_cycle)
    compute = tiles(m, n, config) * array.tile_cycles(k)
    paced, first_wait = product.paced()
    bus, requests = product.bus(), product.requests()
    start, lost = product.start()
    first_word = setup_cycles(config) + _REQUEST_STAGES + latency
    last_word = _WEIGHT_STAGES - 1 + max(1, config.data_bits // layout.weight_beat_bits(array))
    whole = max(start + paced - first_wait, first_word + max(bus + lost, requests) + last_word)
    finish = drain_cycles(m, n, config, write_latency=write_latency, bytes_per_cycle=bytes_per_cycle)
    bound = max(bus, requests, paced if paced > compute else 0)
    return Estimate(compute, ceil(bound), ceil(start), finish, ceil(whole) + finish)


class _Product:
    """Knows a product, and computes the parts of its `Estimate`."""

    def __init__(
        self,
        m: int,
        k: int,
        n: int,
        config: CoreConfig,
        latency: int,
        write_latency: int,
        bytes_per_cycle: float | None,
    ):
        self.m, self.k, self.n = m, k, n
        self.config, self.array = config, config.array
        self.latency, self.write_latency, self.bytes_per_cycle = latency, write_latency, bytes_per_cycle
        self.word = _word_cycles(config, bytes_per_cycle)
        self.strips, self.cols = layout.row_strips(m, self.array), layout.col_tiles(n, self.array)
        self.act_words, self.weight_words, self.scale_words = tile_words(k, config)
        self.read = sum(read_words(m, k, n, config).values())
        self.row_words = row_words(n, config)

    def _rows(self, strip: int) -> int:
        """Returns the rows of a strip that count."""
        return min(self.array.rows, self.m - strip * self.array.rows)

    # What bounds it

    def paced(self) -> tuple[float, float]:
        """Returns the cycles of all tiles in the array, and how much less the first one takes.

        The results of a tile hold up the next one, and so does a bank of activations that is not there.
        """
        array, config = self.array, self.config
        first = array.first_beats(self.k)
        others = array.tile_cycles(self.k) - max(first, array.tile_gap)
        beats = list(islice(array.beats(self.k), 1, 2))
        second = max(beats[0], array.group_gap) if beats else 0

        def interval(strip: int, words: int) -> float:
            """Returns the cycles from one tile to the next if a row of results is so many words."""
            rows, time = self._rows(strip), words * self.word
            last_read = array.finish_latency + self._read_out(rows, time)
            answers = (time + self.write_latency + 1) / config.outstanding
            if not array.banked:
                tile = max(first, last_read) + others
            else:
                # The sums of the first group wait for the rows, and so does the end of the second.
                first_read = last_read - 1 - (array.rows - 1) * array.bank_cols
                held = first_read + array.group_gap + others - second
                tile = max(max(first, array.tile_gap) + others, held if second else held / 2)
            return max(tile, rows * max(time, answers))

        last = self.strips - 1
        cycles = sum(
            count * (last * interval(0, words) + interval(last, words)) for words, count in self.row_words
        )
        if not config.resident(self.k):
            # A tile's last bank may be used up before the first block of the next tile is there.
            bank = config.act_words * config.act_beats_per_word
            tail = (layout.beats(self.k, array) - 1) % bank + 1
            latency = _CLAIM_STAGES + _REQUEST_STAGES + self.latency
            late = latency + sum(self._block(0, 0)) * self.word - tail
            cycles += (self.strips * self.cols - 1) * max(0, late)
        return cycles, interval(0, self.row_words[0][0]) - others - first

    def _read_out(self, rows: int, time: float) -> int:
        """Returns the cycles to read a tile out of the array of which `rows` are written, in `time` each."""
        array, pace = self.array, self.array.bank_cols
        last = (array.rows - 1) * pace
        # The last row is read so many cycles behind the one that is taken then; others are on their way.
        row, behind = divmod(last - array.output_latency, pace)
        if row < 0:
            return last + 1
        taken = _row_taken(min(row, rows), time, self.write_latency, self.config)
        taken += max(0, row - rows) * pace  # dropped
        return max(last, ceil(taken) + array.output_latency + behind) + 1

    def bus(self) -> float:
        """Returns the cycles in which the bus moves words."""
        written = self.m * sum(words * count for words, count in self.row_words)
        most = max(self.read, written)
        if self.bytes_per_cycle is None:
            return most
        return max(most, (self.read + written) * self.config.word_bytes / self.bytes_per_cycle)

    def requests(self) -> float:
        """Returns the cycles of all bursts that are read, `outstanding` at a time."""
        bursts = read_bursts(self.m, self.k, self.n, self.config)
        return (bursts * (self.latency + 1) + self.read * self.word) / self.config.outstanding

    # How it begins

    def start(self) -> tuple[float, float]:
        """Returns the cycle of the array's first beat, and how long the bus waits for requests before.

        Memory is asked for token scales of two strips and for all scales that there is room for, then for
        activations, and for weights once the first block of activations is there.
        """
        lengths = list(self._first_scales())
        if self.array.row_members:
            strips = range(min(2, self.strips))
            lengths += [token_words(strip, self.m, self.config) for strip in strips]
        lengths += self._block(0, 0)
        block = len(lengths)
        weights = cut(0, self.weight_words, self.config)
        before = [*lengths, *islice(self._blocks_ahead(), self.config.outstanding - 1), weights[0]]
        ends = list(self._ends(before))
        first_weights = ends[-1] - (weights[0] - 1) * self.word + _WEIGHT_STAGES
        first_acts = ends[block - 1] + _ACT_STAGES + self.array.scheme.fill_cycles(self.k)
        lost = ends[-1] - ends[0] - sum(before[1:]) * self.word
        # The first tile may have to wait for its last words.
        rest = self._blocks(0, self.config.burst, self.act_words)
        (tile,) = deque(self._ends(chain(lengths, rest, weights)), maxlen=1)
        enough = tile + _WEIGHT_STAGES - self.array.tile_cycles(self.k)
        return max(first_weights, first_acts, enough), lost

    def _first_scales(self) -> Iterator[int]:
        """Yields the bursts of scales until their queue, and the registers behind it, are full."""
        config = self.config
        room = config.scale_words + words(layout.scale_beat_bits(self.array), config) + 1
        step = layout.scale_tile_bytes(self.k, self.array) // config.word_bytes
        for tile in range(self.strips * self.cols):
            for length in cut(tile % self.cols * step, self.scale_words, config):
                if room < config.burst:
                    return
                yield length
                room -= length

    def _blocks_ahead(self) -> Iterator[int]:
        """Yields the bursts of activations behind the first block that both banks have room for."""
        if not self.config.resident(self.k):
            yield from self._blocks(0, self.config.burst, min(self.act_words, 2 * self.config.act_words))
            return
        yield from self._blocks(0, self.config.burst, self.act_words)
        if self.strips > 1:
            yield from self._blocks(1, 0, self.act_words)

    def _blocks(self, strip: int, first: int, end: int) -> Iterator[int]:
        """Yields the bursts of a strip's activations, words `first` to `end` of each row."""
        for block in range(first, end, self.config.burst):
            yield from self._block(strip, block)

    def _block(self, strip: int, first: int) -> list[int]:
        """Returns the bursts of a strip's block of activations that begins with word `first` of each row."""
        words = min(self.config.burst, self.act_words - first)
        step = layout.act_stride(self.k, self.array) // self.config.word_bytes
        return [
            length
            for row in range(self._rows(strip))
            for length in cut(row * step + first, words, self.config)
        ]

    def _ends(self, lengths: Iterable[int]) -> Iterator[float]:
        """Yields the cycles in which the last words of bursts come, one after another, from the start on."""
        setup, end = float(setup_cycles(self.config)), 0.0
        ends = deque([setup] * self.config.outstanding, maxlen=self.config.outstanding)
        for length in lengths:
            end = max(end + 1, ends[0] + _REQUEST_STAGES + self.latency) + length * self.word - 1
            ends.append(end)
            yield end


def _word_cycles(config: CoreConfig, bytes_per_cycle: float | None) -> float:
    """Returns the cycles that a word takes on the bus."""
    return 1.0 if bytes_per_cycle is None else max(1.0, config.word_bytes / bytes_per_cycle)


def _row_taken(row: int, time: float, write_latency: int, config: CoreConfig) -> float:
    """Returns the cycle in which the writer takes a row of results, row 0 in cycle 0; each lasts `time`."""
    rounds, more = divmod(row, config.outstanding)
    return max(row * config.array.bank_cols, row * time, rounds * (time + write_latency + 1) + more * time)
