"""How packed operands and results lie in memory: every size of layout version 1, in bits and bytes.

`mixpe.quant.packing.memory` packs and unpacks by these numbers, and the accelerator core (`mixpe.hw.core`)
walks memory by them. docs/memory.md is the specification. All regions begin at multiples of `ALIGNMENT`
bytes; bit i of a region is bit i % 8 of its byte i // 8.
"""

from .array import Config

LAYOUT_VERSION = 1
"""The version of this layout; packed files hold it, commands name it, and the core refuses another."""

ALIGNMENT = 64
"""Bytes: of regions, of column tiles, and of the strides of rows."""

TOKEN_BITS = 32
"""The width of a token scale (FP32)."""


def regions(config: Config) -> tuple[str, ...]:
    """Returns the letters of a command's regions, in the order of their addresses among the registers."""
    return "A", "W", "S", *("T" for _ in config.row_members), "O"


def aligned(size: int) -> int:
    """`size` bytes rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def container_bits(config: Config) -> int:
    """Width of an activation in memory: 4, 8 or 16 bits, the narrowest that holds `act_bits`.

    Integers are sign-extended to it; the core reads the low `act_bits`.
    """
    return next(bits for bits in (4, 8, 16) if bits >= config.act_bits)


def weight_beat_bits(config: Config) -> int:
    """Width of a beat of weights, as on the stream `weights`: all columns and lanes."""
    return config.cols * config.lanes * config.weight_bits


def scale_beat_bits(config: Config) -> int:
    """Width of a group's scales (and zero points), as on the stream `scales`."""
    return config.cols * config.matrix.member_bits


def act_beat_bits(config: Config) -> int:
    """Width of a row's activations of one beat: its lanes, in their containers."""
    return config.lanes * container_bits(config)


def beats(k: int, config: Config) -> int:
    """Beats of a tile: every group begins one, so the last of a group may have idle lanes."""
    return config.tile_beats(k)


def groups(k: int, config: Config) -> int:
    return -(-k // config.group)


def col_tiles(n: int, config: Config) -> int:
    return -(-n // config.cols)


def row_strips(m: int, config: Config) -> int:
    return -(-m // config.rows)


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def weight_tile_bytes(k: int, config: Config) -> int:
    """Returns the bytes from one column tile of weights to the next."""
    return aligned(_bytes(beats(k, config) * weight_beat_bits(config)))


def scale_tile_bytes(k: int, config: Config) -> int:
    """Returns the bytes from one column tile of scales to the next."""
    return aligned(_bytes(groups(k, config) * scale_beat_bits(config)))


def weight_bytes(k: int, n: int, config: Config) -> int:
    """Returns the bytes of the weights of a whole matrix [k, n]."""
    return col_tiles(n, config) * weight_tile_bytes(k, config)


def scale_bytes(k: int, n: int, config: Config) -> int:
    """Returns the bytes of the scales and zero points of a whole matrix [k, n]."""
    return col_tiles(n, config) * scale_tile_bytes(k, config)


def act_row_bytes(k: int, config: Config) -> int:
    """Returns the bytes of a row of activations: the lanes of all beats, idle ones too."""
    return _bytes(beats(k, config) * act_beat_bits(config))


def act_stride(k: int, config: Config) -> int:
    """Returns the least distance of rows of activations, in bytes."""
    return aligned(act_row_bytes(k, config))


def token_bytes(m: int) -> int:
    return m * TOKEN_BITS // 8


def out_row_bytes(n: int, config: Config) -> int:
    """Returns the bytes of a row of results."""
    return n * config.out.bits // 8


def out_stride(n: int, config: Config) -> int:
    """Returns the least distance of rows of results, in bytes."""
    return aligned(out_row_bytes(n, config))


def region_bytes(m: int, k: int, n: int, a_stride: int, o_stride: int, config: Config) -> dict[str, int]:
    """Returns the bytes of a command's regions, by letter: from each address up to the last byte in use."""
    sizes = {
        "A": (m - 1) * a_stride + act_row_bytes(k, config),
        "W": weight_bytes(k, n, config),
        "S": scale_bytes(k, n, config),
        "T": token_bytes(m),
        "O": (m - 1) * o_stride + out_row_bytes(n, config),
    }
    return {letter: sizes[letter] for letter in regions(config)}


def ideal_weight_bits(config: Config) -> float:
    """Bits per weight without padding: the code, and its share of a whole group's scale and zero point."""
    return config.weight_bits + scale_beat_bits(config) / config.cols / config.group
