"""Operands and results as the beats of the top's streams.

A beat is a Python int whose bit 0 is the payload's bit 0. The product is computed in tiles of config.rows x
config.cols, in the order of `tiles`; rows and columns past the edge of the product are zero (scales +0).
With R rows, C columns, L lanes, ab = act_bits, wb = weight_bits, ob = bits of the output format, every group
starts on a fresh beat, takes ceil(length / L) beats, and k = first of the group + L*beat + lane:

    activations   bits [(m*L + l)*ab +: ab] = a[m, k]; bit R*L*ab = last beat of the tile
    weights       bits [(n*L + l)*wb +: wb] = q[k, n]
    scales        one beat per group: bits [16*n +: 16] = s[g, n];
                  with zero_point also bits [16*C + wb*n +: wb] = z[g, n]
    token scales  one beat per row of the tile, with token_scale only: t[m], 32 bits
    outputs       one beat per row of the tile: bits [n*ob +: ob] = out[m, n]; bit C*ob = last row of the tile

Integers are two's complement (or plain binary), floats the bits of their format; lanes past a group's end
are 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...spec.array import Config
from ...spec.errors import UserError
from ..codecs import codec
from ..matrix import QuantizedMatrix
from ..operands import check_acts, check_operands, check_results, check_token_scales
from .bits import from_beats, to_beats


@dataclass(frozen=True)
class Beats:
    """The beats of every input stream of one product, tile after tile."""

    acts: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    scales: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def of(self, stream: str) -> list[int]:
        """Returns the beats of the stream of that name."""
        return vars(self)[stream]


def tiles(m: int, n: int, config: Config) -> Iterator[tuple[int, int]]:
    """Origins (row, column) of the tiles of an [m, n] product: down the rows in the outer loop,
    across the columns in the inner one, so that a strip of activations meets every column in turn."""
    for row in range(0, m, config.rows):
        for col in range(0, n, config.cols):
            yield row, col


def beat_index(k: int, config: Config) -> np.ndarray:
    """The inner index of each lane of each beat of a tile: int [beats, lanes], -1 where a lane is idle."""
    starts = range(0, k, config.group)
    parts = []
    for start in starts:
        length = min(config.group, k - start)
        index = np.full(-(-length // config.lanes) * config.lanes, -1)
        index[:length] = np.arange(start, start + length)
        parts.append(index.reshape(-1, config.lanes))
    return np.concatenate(parts)


def pack_matmul(a: Any, weights: Any, *, config: Config, t: Any = None) -> Beats:
    """Returns the input streams of a whole product of any shape; operands and errors as for `mpgemm`."""
    ops = check_operands(a, weights, t, config).padded()
    m, n = ops.m, ops.n
    row_acts, row_tokens = {}, {}
    for r in range(0, m, config.rows):
        rows = slice(r, r + config.rows)
        row_acts[r] = pack_acts(ops.a[rows], config)
        row_tokens[r] = [] if ops.t is None else pack_tokens(ops.t[rows], config)
    col_weights, col_scales = {}, {}
    for c in range(0, n, config.cols):
        part = ops.weights.columns(slice(c, c + config.cols))
        col_weights[c], col_scales[c] = pack_weights(part, config), pack_scales(part, config)
    beats = Beats()
    for r, c in tiles(m, n, config):
        beats.acts.extend(row_acts[r])
        beats.weights.extend(col_weights[c])
        beats.scales.extend(col_scales[c])
        beats.tokens.extend(row_tokens[r])
    return beats


def pack_acts(a: Any, config: Config) -> list[int]:
    """Returns the beats of activations of one tile: a[M, K], M at most config.rows."""
    form = codec(config.act_code)
    a = form.encode(_edge("a", check_acts(a, config), 0, config.rows))
    index = beat_index(a.shape[1], config)
    lanes = np.where(index >= 0, a[:, index], 0)  # [M, beats, L]
    beats = to_beats(lanes.transpose(1, 0, 2).reshape(len(index), -1), form.bits)
    beats[-1] |= 1 << (config.rows * config.lanes * form.bits)
    return beats


def pack_weights(weights: QuantizedMatrix, config: Config) -> list[int]:
    """Returns the beats of weight codes of one tile: [K, N], N at most config.cols."""
    form = codec(config.weight_code)
    q = form.encode(_edge("q", weights.codes, 1, config.cols))
    index = beat_index(q.shape[0], config)
    lanes = np.where(index[:, :, None] >= 0, q[index], 0)  # [beats, L, N]
    return to_beats(lanes.transpose(0, 2, 1).reshape(len(index), -1), form.bits)


def pack_scales(weights: QuantizedMatrix, config: Config) -> list[int]:
    """Returns the beats of the members of all groups (scales, zero points) of one tile."""
    beats, place = [0] * len(weights.groups["s"]), 0
    for member in weights.format.members:
        form = codec(member.format)
        codes = form.encode(_edge(member.symbol, weights.groups[member.symbol], 1, config.cols))
        own = to_beats(codes, form.bits)
        beats = [beat | code << place for beat, code in zip(beats, own, strict=True)]
        place += config.cols * form.bits
    return beats


def pack_tokens(t: Any, config: Config) -> list[int]:
    """Token scales of one tile: t[M] float32, M at most config.rows; always config.rows beats."""
    t = check_token_scales(t, config)
    if t is None:
        return []
    return [int(bits) for bits in _edge("t", t, 0, config.rows).view(np.uint32)]


def pack_outputs(out: Any, config: Config) -> list[int]:
    """The output stream of a product: out[M, N] of config.out, tiles in the order of `tiles`.

    Padding is zero. A tile's true padding is what its operands give (an infinite scale times the zero sum
    of a padded row is NaN): to expect every bit, pack the golden model of
    `Operands.padded`.
    """
    out = check_results(out, config)
    m, n = out.shape
    bits = codec(config.out).encode(out)
    bits = np.pad(bits, ((0, -m % config.rows), (0, -n % config.cols)))
    beats = []
    for r, c in tiles(m, n, config):
        beats += to_beats(bits[r : r + config.rows, c : c + config.cols], config.out.bits)
        beats[-1] |= 1 << (config.cols * config.out.bits)
    return beats


def unpack_acts(beats: list[int], k: int, config: Config) -> np.ndarray:
    """Inverse of `pack_acts`: a[config.rows, k]. Refuses a wrong count, width or `last`."""
    index = beat_index(k, config)
    _check_count("acts", beats, len(index))
    form, fields = codec(config.act_code), config.rows * config.lanes
    codes = from_beats("acts", _strip_last("acts", beats, len(beats), fields * form.bits), fields, form.bits)
    lanes = codes.reshape(len(index), config.rows, config.lanes).transpose(1, 0, 2)
    return form.decode(lanes[:, index >= 0])


def unpack_weights(weights: list[int], scales: list[int], k: int, config: Config) -> QuantizedMatrix:
    """Inverse of `pack_weights` and `pack_scales`: the tile's weights [k, config.cols]."""
    index = beat_index(k, config)
    _check_count("weights", weights, len(index))
    form = codec(config.weight_code)
    codes = from_beats("weights", weights, config.cols * config.lanes, form.bits)
    codes = codes.reshape(len(index), config.cols, config.lanes).transpose(0, 2, 1)[index >= 0]
    _check_count("scales", scales, config.matrix.groups(k))
    groups, place = {}, 0
    for member in config.matrix.members:
        width = config.cols * member.format.bits
        last = member is config.matrix.members[-1]
        own = [beat >> place if last else beat >> place & ((1 << width) - 1) for beat in scales]
        own = from_beats("scales", own, config.cols, member.format.bits)
        groups[member.symbol] = codec(member.format).decode(own)
        place += width
    return QuantizedMatrix(config.matrix, form.decode(codes), groups)


def unpack_tokens(beats: list[int], config: Config) -> np.ndarray:
    """Inverse of `pack_tokens`: t[config.rows] float32."""
    _check_count("tokens", beats, config.rows)
    return from_beats("tokens", beats, 1, 32)[:, 0].view(np.float32)


def unpack_outputs(beats: list[int], m: int, n: int, config: Config) -> np.ndarray:
    """The product [m, n] of config.out that the output stream holds, without its padding."""
    origins = list(tiles(m, n, config))
    _check_count("outputs", beats, len(origins) * config.rows)
    bits = config.out.bits
    payloads = _strip_last("outputs", beats, config.rows, config.cols * bits)
    words = from_beats("outputs", payloads, config.cols, bits)
    out = np.empty((m + -m % config.rows, n + -n % config.cols), codec(config.out).storage)
    for tile, (r, c) in enumerate(origins):
        out[r : r + config.rows, c : c + config.cols] = words[tile * config.rows : (tile + 1) * config.rows]
    return codec(config.out).decode(out[:m, :n])


def _edge(name: str, array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Pads one axis with zeros up to the array's rows or columns."""
    if array.shape[axis] > size:
        side = ("rows", "columns")[axis]
        raise UserError(f"{name} must have at most {size} {side} in one tile, not {array.shape[axis]}")
    shape = tuple(size if i == axis else count for i, count in enumerate(array.shape))
    padded = np.zeros(shape, array.dtype)  # np.pad knows not all dtypes of ml_dtypes
    padded[tuple(slice(count) for count in array.shape)] = array
    return padded


def _check_count(name: str, beats: list[int], count: int) -> None:
    if len(beats) != count:
        raise UserError(f"{name} must have {count} beats, not {len(beats)}")


def _strip_last(name: str, beats: list[int], period: int, position: int) -> list[int]:
    """Take the `last` bit away, which must be set on every `period`-th beat and no other."""
    stripped = []
    for i, beat in enumerate(beats):
        last = (i + 1) % period == 0
        if beat >> position != last:
            raise UserError(f"{name}[{i}] must have last = {int(last)} in bit {position}, nothing above")
        stripped.append(beat & ((1 << position) - 1))
    return stripped
