"""Counts the words and bursts of which a command's transfers are made; `mixpe.spec.cycles` adds them up."""

from math import gcd
from operator import mul

from . import layout
from .core import CoreConfig


def words(bits: int, config: CoreConfig) -> int:
    """Returns the words of the data bus that hold so many bits."""
    return -(-bits // config.data_bits)


def tile_words(k: int, config: CoreConfig) -> tuple[int, int, int]:
    """Returns the words of a tile's operands: of a row's activations, of the weights, of the scales."""
    array = config.array
    tile_beats, tile_groups = layout.beats(k, array), layout.groups(k, array)
    return (
        words(tile_beats * layout.act_beat_bits(array), config),
        words(tile_beats * layout.weight_beat_bits(array), config),
        words(tile_groups * layout.scale_beat_bits(array), config),
    )


def token_words(strip: int, m: int, config: CoreConfig) -> int:
    """Returns the words that hold the token scales of a strip of rows."""
    rows, per_word = config.array.rows, config.tokens_per_word
    first = strip * rows
    return -(-min(first + rows, m) // per_word) - first // per_word


def all_token_words(m: int, config: CoreConfig) -> int:
    """Words that are read of the token scales of all strips: where a strip begins in a word repeats."""
    rows, per_word = config.array.rows, config.tokens_per_word
    period, whole = per_word // gcd(rows, per_word), layout.row_strips(m, config.array) - 1
    some = [token_words(strip, m, config) for strip in range(min(period, whole))]
    counts = [-(-(whole - strip) // period) for strip in range(len(some))]
    return sum(map(mul, some, counts)) + token_words(whole, m, config)


def row_words(n: int, config: CoreConfig) -> list[tuple[int, int]]:
    """Returns pairs: words that a row of results touches in a column tile, and how many column tiles are so.

    The last column tile stands last, in a pair of its own.
    """
    array, word = config.array, config.word_bytes
    tile = array.cols * array.out.bits // 8
    period, whole = word // gcd(tile, word), layout.col_tiles(n, array) - 1
    found = [
        (-(-(index * tile % word + tile) // word), -(-(whole - index) // period))
        for index in range(min(period, whole))
    ]
    rest = layout.out_row_bytes(n, array) - whole * tile
    return [*found, (-(-(whole * tile % word + rest) // word), 1)]


def cut(first: int, count: int, config: CoreConfig) -> list[int]:
    """Returns the lengths of the bursts of `count` words from word `first` on."""
    lengths = []
    while count:
        lengths.append(min(count, config.burst - first % config.burst))
        first, count = first + lengths[-1], count - lengths[-1]
    return lengths


def read_bursts(m: int, k: int, n: int, config: CoreConfig) -> float:
    """Returns the bursts that are read, if the regions of operands begin at multiples of a burst."""
    array = config.array
    strips, cols = layout.row_strips(m, array), layout.col_tiles(n, array)
    acts, weights, scales = tile_words(k, config)

    def count(pieces: int, step_bytes: int, size: int) -> float:
        """Returns the bursts of pieces that lie `step_bytes` apart: their places in a burst repeat."""
        some = min(pieces, config.burst)
        step = step_bytes // config.word_bytes
        return sum(len(cut(piece * step, size, config)) for piece in range(some)) * pieces / some

    blocks, rest = divmod(acts, config.burst)
    rows = blocks * count(m, layout.act_stride(k, array), config.burst)
    rows += count(m, layout.act_stride(k, array), rest) if rest else 0
    tile = count(cols, layout.weight_tile_bytes(k, array), weights)
    tile += count(cols, layout.scale_tile_bytes(k, array), scales)
    return rows * (1 if config.resident(k) else cols) + strips * (tile + len(array.row_members))
