"""Operands and results as they lie in an accelerator's memory: layout version 1, docs/memory.md.

`mixpe.quant.packing.beats` has functions of the same names for streams: import the module, and write
`memory.pack_acts`. All sizes come from `mixpe.spec.layout`. Bytes are uint8:

    weights, scales   a region each, [bytes], together a `PackedWeights`
    activations       [M, stride], as are results; what is read may have a greater stride than the least
    token scales      [4*M]

Padding and idle lanes are written as zero and not looked at when read.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...spec import layout
from ...spec.array import Config
from ...spec.errors import UserError
from ...spec.formats.numbers import IntFormat
from ..operands import (
    check_acts,
    check_quantized,
    check_results,
    check_token_scales,
    float_dtype,
    group_count,
    int_dtype,
)
from .beats import beat_index
from .bits import from_bits, narrowest, to_bits
from .packed import PackedWeights, described, kind

__all__ = [
    "PackedWeights",
    "bits_per_weight",
    "pack_acts",
    "pack_results",
    "pack_tokens",
    "pack_weights",
    "unpack_acts",
    "unpack_results",
    "unpack_tokens",
    "unpack_weights",
]

_CHUNK = 1 << 20
"""Codes that are handled at a time, at least those of a column tile: a byte per bit stays in the cache."""

_WITH_TOKENS = Config(token_scale=True)


def bits_per_weight(k: int, n: int, config: Config) -> float:
    """Bits in memory per weight of a matrix [k, n]: codes, scales, zero points and all padding."""
    return 8 * (layout.weight_bytes(k, n, config) + layout.scale_bytes(k, n, config)) / (k * n)


def pack_weights(q: Any, s: Any, z: Any, config: Config) -> PackedWeights:
    """Weight codes q[K, N], group scales s[G, N] float16 and zero points z[G, N] or None in memory.

    Raises `UserError` that names the operand, its value or shape and what is allowed.
    """
    q, s, z, _ = check_quantized(q, s, z, config)
    k, n = q.shape
    index = beat_index(k, config)
    weights = np.zeros((layout.col_tiles(n, config), layout.weight_tile_bytes(k, config)), np.uint8)
    for tiles, cols in _chunks(n, index.size, config):
        codes = _whole_tiles(q[:, cols], config).astype(np.uint8)[index]  # [beats, lanes, tiles, cols]
        codes[index < 0] = 0
        count = codes.shape[2]
        octets = _octets(codes.transpose(2, 0, 3, 1).reshape(count, -1), config.weight_bits)
        weights[tiles, : octets.shape[1]] = octets
    scales = np.zeros((len(weights), layout.scale_tile_bytes(k, config)), np.uint8)
    for tiles, cols in _chunks(n, len(s), config):
        bits = to_bits(
            _whole_tiles(s[:, cols].view(np.uint16), config), config.scale.bits
        )  # [G, tiles, bits]
        if z is not None:
            codes = _whole_tiles(z[:, cols], config).astype(np.uint8)
            bits = np.concatenate([bits, to_bits(codes, config.weight_bits)], axis=-1)
        count = bits.shape[1]
        octets = np.packbits(bits.transpose(1, 0, 2).reshape(count, -1), axis=-1, bitorder="little")
        scales[tiles, : octets.shape[1]] = octets
    return PackedWeights(k=k, n=n, weights=weights.reshape(-1), scales=scales.reshape(-1), **kind(config))


def unpack_weights(packed: PackedWeights) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Inverse of `pack_weights`: q[K, N], s[G, N] and z[G, N] or None; integers in their narrowest type."""
    config, k, n = packed.config, packed.k, packed.n
    width, fmt = config.weight_bits, config.weight_code
    index = beat_index(k, config)
    groups, padded = group_count(k, config), layout.col_tiles(n, config) * config.cols
    q = np.empty((k, padded), int_dtype(fmt))
    weights = packed.weights.reshape(-1, layout.weight_tile_bytes(k, config))
    for tiles, cols in _chunks(n, index.size, config):
        codes = _fields(weights[tiles], index.size * config.cols, width)
        codes = codes.reshape(-1, len(index), config.cols, config.lanes).transpose(1, 3, 0, 2)
        q[:, cols] = _values(codes[index >= 0], fmt).reshape(k, -1)
    s, z = np.empty((groups, padded), np.uint16), np.empty((groups, padded), int_dtype(fmt))
    scales = packed.scales.reshape(-1, layout.scale_tile_bytes(k, config))
    beat, low = layout.scale_beat_bits(config), config.cols * config.scale.bits
    for tiles, cols in _chunks(n, groups, config):
        bits = np.unpackbits(scales[tiles], axis=-1, count=groups * beat, bitorder="little")
        bits = bits.reshape(-1, groups, beat).transpose(1, 0, 2)  # [G, tiles, bits]
        s[:, cols] = from_bits(bits[..., :low], config.scale.bits).reshape(groups, -1)
        if config.zero_point:
            z[:, cols] = _values(from_bits(bits[..., low:], width), fmt).reshape(groups, -1)
    s = np.ascontiguousarray(s[:, :n]).view(float_dtype(config.scale))
    return np.ascontiguousarray(q[:, :n]), s, np.ascontiguousarray(z[:, :n]) if config.zero_point else None


def pack_acts(a: Any, config: Config) -> np.ndarray:
    """Activations a[M, K] of config.act_code in memory: uint8 [M, layout.act_stride(K)]."""
    a = check_acts(a, config)
    width = layout.container_bits(config)
    a = a.astype(narrowest(width)) if isinstance(config.act_code, IntFormat) else a.view(narrowest(width))
    index = beat_index(a.shape[1], config).reshape(-1)
    return _rows(np.where(index >= 0, a[:, index], 0), width, layout.act_stride(a.shape[1], config))


def unpack_acts(data: Any, k: int, config: Config) -> np.ndarray:
    """Inverse of `pack_acts`: a[M, k], integers in their narrowest type, the low act_bits of a container."""
    data = _check_rows("activations", data, layout.act_row_bytes(k, config))
    index = beat_index(k, config).reshape(-1)
    a = _fields(data, index.size, layout.container_bits(config))[:, index >= 0]
    fmt = config.act_code
    return _values(a, fmt) if isinstance(fmt, IntFormat) else np.ascontiguousarray(a).view(float_dtype(fmt))


def pack_tokens(t: Any) -> np.ndarray:
    """Token scales t[M] float32 in memory: uint8 [4*M]."""
    t = np.asarray(check_token_scales(t, _WITH_TOKENS))
    return _octets(t.view(np.uint32)[None], layout.TOKEN_BITS)[0]


def unpack_tokens(data: Any) -> np.ndarray:
    """Inverse of `pack_tokens`: t[M] float32."""
    size = layout.token_bytes(1)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1 or data.size % size:
        raise UserError(f"token scales must be uint8 [{size}*M], not {described(data)}")
    return _fields(data[None], data.size // size, layout.TOKEN_BITS)[0].view(np.float32)


def pack_results(out: Any, config: Config) -> np.ndarray:
    """Results out[M, N] of config.out in memory: uint8 [M, layout.out_stride(N)]."""
    out = check_results(out, config)
    return _rows(
        out.view(narrowest(config.out.bits)), config.out.bits, layout.out_stride(out.shape[1], config)
    )


def unpack_results(data: Any, n: int, config: Config) -> np.ndarray:
    """Inverse of `pack_results`: out[M, n] of config.out."""
    if n < 1:
        raise UserError(f"n must be at least 1, not {n}")
    data = _check_rows("results", data, layout.out_row_bytes(n, config))
    return _fields(data, n, config.out.bits).view(float_dtype(config.out))


def _check_rows(name: str, data: Any, least: int) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] < least:
        raise UserError(
            f"{name} must be uint8 [M, stride] with a stride of at least {least}, not {described(data)}"
        )
    return data


def _chunks(n: int, fields: int, config: Config) -> Iterator[tuple[slice, slice]]:
    """Slices of the column tiles of a matrix with `fields` fields in a column, and of their columns."""
    count = layout.col_tiles(n, config)
    step = max(1, _CHUNK // (fields * config.cols))
    for first in range(0, count, step):
        last = min(first + step, count)
        yield slice(first, last), slice(first * config.cols, last * config.cols)


def _whole_tiles(columns: np.ndarray, config: Config) -> np.ndarray:
    """[rows, tiles, config.cols], with columns of zeros up to a whole tile."""
    missing = -columns.shape[1] % config.cols
    if missing:
        columns = np.pad(columns, ((0, 0), (0, missing)))
    return columns.reshape(len(columns), -1, config.cols)


def _rows(values: np.ndarray, width: int, stride: int) -> np.ndarray:
    rows = np.zeros((len(values), stride), np.uint8)
    octets = _octets(values, width)
    rows[:, : octets.shape[1]] = octets
    return rows


def _octets(values: np.ndarray, width: int) -> np.ndarray:
    """Each row of values[rows, fields], modulo 2**width, as bytes: field i in bits [i*width +: width]."""
    if width % 8:
        return np.packbits(to_bits(values, width), axis=-1, bitorder="little")
    return np.ascontiguousarray(values.astype(narrowest(width).newbyteorder("<"))).view(np.uint8)


def _fields(data: np.ndarray, count: int, width: int) -> np.ndarray:
    """Inverse of `_octets`: a copy of the first `count` fields of each row, in the narrowest type."""
    if width % 8:
        return from_bits(np.unpackbits(data, axis=-1, count=count * width, bitorder="little"), width)
    octets = data[:, : count * width // 8].copy()
    return octets.view(narrowest(width).newbyteorder("<")).astype(narrowest(width), copy=False)


def _values(codes: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The integers that the low bits of unsigned `codes` stand for, in the format's narrowest type."""
    unused = 8 * codes.itemsize - fmt.bits
    return (codes << unused).view(int_dtype(fmt)) >> unused
