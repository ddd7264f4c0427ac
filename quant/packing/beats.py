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
from ...spec.formats.numbers import IntFormat
from ..operands import (
    check_acts,
    check_operands,
    check_results,
    check_scales,
    check_token_scales,
    check_weights,
    check_zero_points,
    float_dtype,
    group_count,
    int_dtype,
)
from .bits import from_beats, to_beats


@dataclass(frozen=True)
class Beats:
    """The beats of every input stream of one product, tile after tile."""

    acts: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    scales: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


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


def pad_operands(
    a: Any, q: Any, s: Any, z: Any, t: Any, config: Config
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The operands of `golden.mpgemm`, checked, with zero rows and columns up to whole tiles.

    What `pack_matmul` puts on the streams: the golden model of these is every bit of the output stream.
    """
    ops = check_operands(a, q, s, z, t, config)
    m, n = -ops.m % config.rows, -ops.n % config.cols
    return (
        np.pad(ops.a, ((0, m), (0, 0))),
        np.pad(ops.q, ((0, 0), (0, n))),
        np.pad(ops.s, ((0, 0), (0, n))),
        None if ops.z is None else np.pad(ops.z, ((0, 0), (0, n))),
        None if ops.t is None else np.pad(ops.t, (0, m)),
    )


def pack_matmul(a: Any, q: Any, s: Any, z: Any, t: Any, config: Config) -> Beats:
    """The input streams of a whole product of any shape; operands and errors as for `golden.mpgemm`."""
    a, q, s, z, t = pad_operands(a, q, s, z, t, config)
    m, n = a.shape[0], q.shape[1]
    row_acts = {r: pack_acts(a[r : r + config.rows], config) for r in range(0, m, config.rows)}
    row_tokens = {
        r: [] if t is None else pack_tokens(t[r : r + config.rows], config) for r in range(0, m, config.rows)
    }
    col_weights, col_scales = {}, {}
    for c in range(0, n, config.cols):
        cols = slice(c, c + config.cols)
        col_weights[c] = pack_weights(q[:, cols], config)
        col_scales[c] = pack_scales(s[:, cols], None if z is None else z[:, cols], config)
    beats = Beats()
    for r, c in tiles(m, n, config):
        beats.acts.extend(row_acts[r])
        beats.weights.extend(col_weights[c])
        beats.scales.extend(col_scales[c])
        beats.tokens.extend(row_tokens[r])
    return beats


def pack_acts(a: Any, config: Config) -> list[int]:
    """Activations of one tile: a[M, K], M at most config.rows."""
    a = _edge("a", check_acts(a, config), 0, config.rows)
    if not isinstance(config.act_code, IntFormat):
        a = a.view(f"u{config.act_bits // 8}")
    index = beat_index(a.shape[1], config)
    lanes = np.where(index >= 0, a[:, index], 0)  # [M, beats, L]
    beats = to_beats(lanes.transpose(1, 0, 2).reshape(len(index), -1), config.act_bits)
    beats[-1] |= 1 << (config.rows * config.lanes * config.act_bits)
    return beats


def pack_weights(q: Any, config: Config) -> list[int]:
    """Weight codes of one tile: q[K, N], N at most config.cols."""
    q = _edge("q", check_weights(q, config), 1, config.cols)
    index = beat_index(q.shape[0], config)
    lanes = np.where(index[:, :, None] >= 0, q[index], 0)  # [beats, L, N]
    return to_beats(lanes.transpose(0, 2, 1).reshape(len(index), -1), config.weight_bits)


def pack_scales(s: Any, z: Any, config: Config) -> list[int]:
    """Scales (and zero points) of one tile: s[G, N] float16, z[G, N] or None, N at most config.cols."""
    s, z = check_scales(s), check_zero_points(z, config)
    if z is not None and z.shape != s.shape:
        raise UserError(f"z must have the shape of s, {s.shape}, not {z.shape}")
    beats = to_beats(_edge("s", s, 1, config.cols).view(np.uint16), 16)
    if z is not None:
        codes = to_beats(_edge("z", z, 1, config.cols), config.weight_bits)
        beats = [low | high << (16 * config.cols) for low, high in zip(beats, codes, strict=True)]
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
    of a padded row is NaN): to expect every bit, pack the golden model of `pad_operands`.
    """
    out = check_results(out, config)
    m, n = out.shape
    bits = np.ascontiguousarray(out).view(f"u{config.out.bits // 8}")
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
    fields, bits = config.rows * config.lanes, config.act_bits
    codes = from_beats("acts", _strip_last("acts", beats, len(beats), fields * bits), fields, bits)
    lanes = codes.reshape(len(index), config.rows, config.lanes).transpose(1, 0, 2)
    acts = lanes[:, index >= 0]
    if isinstance(config.act_code, IntFormat):
        return _signed(acts, bits).astype(int_dtype(config.act_code))
    return np.ascontiguousarray(acts.astype(f"u{bits // 8}")).view(float_dtype(config.act_code))


def unpack_weights(beats: list[int], k: int, config: Config) -> np.ndarray:
    """Inverse of `pack_weights`: q[k, config.cols]."""
    index = beat_index(k, config)
    _check_count("weights", beats, len(index))
    codes = from_beats("weights", beats, config.cols * config.lanes, config.weight_bits)
    codes = codes.reshape(len(index), config.cols, config.lanes).transpose(0, 2, 1)[index >= 0]
    return _codes(codes, config)


def unpack_scales(beats: list[int], k: int, config: Config) -> tuple[np.ndarray, np.ndarray | None]:
    """Inverse of `pack_scales` for an inner dimension k: s[G, config.cols] and z[G, config.cols] or None."""
    _check_count("scales", beats, group_count(k, config))
    low = (1 << (16 * config.cols)) - 1
    if not config.zero_point:
        return from_beats("scales", beats, config.cols, 16).astype(np.uint16).view(np.float16), None
    s = from_beats("scales", [beat & low for beat in beats], config.cols, 16)
    z = from_beats("scales", [beat >> (16 * config.cols) for beat in beats], config.cols, config.weight_bits)
    return s.astype(np.uint16).view(np.float16), _codes(z, config)


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
    out = np.empty((m + -m % config.rows, n + -n % config.cols), f"u{bits // 8}")
    for tile, (r, c) in enumerate(origins):
        out[r : r + config.rows, c : c + config.cols] = words[tile * config.rows : (tile + 1) * config.rows]
    return np.ascontiguousarray(out[:m, :n]).view(float_dtype(config.out))


def _edge(name: str, array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Pad one axis with zeros up to the array's rows or columns."""
    if array.shape[axis] > size:
        side = ("rows", "columns")[axis]
        raise UserError(f"{name} must have at most {size} {side} in one tile, not {array.shape[axis]}")
    return np.pad(array, [(0, size - array.shape[axis] if i == axis else 0) for i in range(array.ndim)])


def _signed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement values of plain binary codes, int64."""
    codes = codes.astype(np.int64)
    return codes - ((codes >> (bits - 1)) << bits)


def _codes(codes: np.ndarray, config: Config) -> np.ndarray:
    fmt = config.weight_code
    return (_signed(codes, fmt.bits) if fmt.signed else codes).astype(int_dtype(fmt))


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
