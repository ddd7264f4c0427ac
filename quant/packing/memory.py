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
from ...spec.formats.numbers import FP32
from ..codecs import codec
from ..matrix import QuantizedMatrix
from ..operands import check_acts, check_results
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


def bits_per_weight(k: int, n: int, config: Config) -> float:
    """Bits in memory per weight of a matrix [k, n]: codes, scales, zero points and all padding."""
    return 8 * (layout.weight_bytes(k, n, config) + layout.scale_bytes(k, n, config)) / (k * n)


def pack_weights(weights: QuantizedMatrix, config: Config) -> PackedWeights:
    """Returns a quantized matrix as it lies in the memory of an array of `config`.

    Raises `UserError` for a matrix of another format than config.matrix.
    """
    if not isinstance(weights, QuantizedMatrix):
        raise UserError(f"weights must be a QuantizedMatrix, not {type(weights).__name__}")
    weights.check(config.matrix)
    k, n = weights.shape
    form = codec(config.weight_code)
    q = form.encode(weights.codes)
    index = beat_index(k, config)
    region = np.zeros((layout.col_tiles(n, config), layout.weight_tile_bytes(k, config)), np.uint8)
    for tiles, cols in _chunks(n, index.size, config):
        codes = _whole_tiles(q[:, cols], config)[index]  # [beats, lanes, tiles, cols]
        codes[index < 0] = 0
        count = codes.shape[2]
        octets = _octets(codes.transpose(2, 0, 3, 1).reshape(count, -1), form.bits)
        region[tiles, : octets.shape[1]] = octets
    scales = np.zeros((len(region), layout.scale_tile_bytes(k, config)), np.uint8)
    for tiles, cols in _chunks(n, config.matrix.groups(k), config):
        parts = []
        for member in config.matrix.members:
            codes = codec(member.format).encode(weights.groups[member.symbol][:, cols])
            parts.append(to_bits(_whole_tiles(codes, config), member.format.bits))  # [G, tiles, bits]
        bits = np.concatenate(parts, axis=-1)
        count = bits.shape[1]
        octets = np.packbits(bits.transpose(1, 0, 2).reshape(count, -1), axis=-1, bitorder="little")
        scales[tiles, : octets.shape[1]] = octets
    return PackedWeights(k=k, n=n, weights=region.reshape(-1), scales=scales.reshape(-1), **kind(config))


def unpack_weights(packed: PackedWeights) -> QuantizedMatrix:
    """Inverse of `pack_weights`; integers are in their narrowest type."""
    config, k, n = packed.config, packed.k, packed.n
    form, matrix = codec(config.weight_code), config.matrix
    index = beat_index(k, config)
    groups, padded = matrix.groups(k), layout.col_tiles(n, config) * config.cols
    q = np.empty((k, padded), form.storage)
    weights = packed.weights.reshape(-1, layout.weight_tile_bytes(k, config))
    for tiles, cols in _chunks(n, index.size, config):
        codes = _fields(weights[tiles], index.size * config.cols, form.bits)
        codes = codes.reshape(-1, len(index), config.cols, config.lanes).transpose(1, 3, 0, 2)
        q[:, cols] = codes[index >= 0].reshape(k, -1)
    members = {each.symbol: np.empty((groups, padded), codec(each.format).storage) for each in matrix.members}
    scales = packed.scales.reshape(-1, layout.scale_tile_bytes(k, config))
    beat = layout.scale_beat_bits(config)
    for tiles, cols in _chunks(n, groups, config):
        bits = np.unpackbits(scales[tiles], axis=-1, count=groups * beat, bitorder="little")
        bits = bits.reshape(-1, groups, beat).transpose(1, 0, 2)  # [G, tiles, bits]
        place = 0
        for each in matrix.members:
            own = bits[..., place : place + config.cols * each.format.bits]
            members[each.symbol][:, cols] = from_bits(own, each.format.bits).reshape(groups, -1)
            place += own.shape[-1]
    numbers = {each.symbol: codec(each.format).decode(members[each.symbol][:, :n]) for each in matrix.members}
    return QuantizedMatrix(matrix, form.decode(q[:, :n]), numbers)


def pack_acts(a: Any, config: Config) -> np.ndarray:
    """Returns activations a[M, K] of config.act_code in memory: uint8 [M, layout.act_stride(K)]."""
    codes = codec(config.act_code).encode(check_acts(a, config))
    width, index = layout.container_bits(config), beat_index(codes.shape[1], config).reshape(-1)
    return _rows(np.where(index >= 0, codes[:, index], 0), width, layout.act_stride(codes.shape[1], config))


def unpack_acts(data: Any, k: int, config: Config) -> np.ndarray:
    """Inverse of `pack_acts`: a[M, k], integers in their narrowest type, the low act_bits of a container."""
    data = _check_rows("activations", data, layout.act_row_bytes(k, config))
    index = beat_index(k, config).reshape(-1)
    return codec(config.act_code).decode(
        _fields(data, index.size, layout.container_bits(config))[:, index >= 0]
    )


def pack_tokens(t: Any) -> np.ndarray:
    """Returns token scales t[M] float32 in memory: uint8 [4*M]."""
    form = codec(FP32)
    return _octets(form.encode(form.check("t", t, "[M]"))[None], layout.TOKEN_BITS)[0]


def unpack_tokens(data: Any) -> np.ndarray:
    """Inverse of `pack_tokens`: t[M] float32."""
    size = layout.token_bytes(1)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1 or data.size % size:
        raise UserError(f"token scales must be uint8 [{size}*M], not {described(data)}")
    return _fields(data[None], data.size // size, layout.TOKEN_BITS)[0].view(np.float32)


def pack_results(out: Any, config: Config) -> np.ndarray:
    """Results out[M, N] of config.out in memory: uint8 [M, layout.out_stride(N)]."""
    out = check_results(out, config)
    return _rows(codec(config.out).encode(out), config.out.bits, layout.out_stride(out.shape[1], config))


def unpack_results(data: Any, n: int, config: Config) -> np.ndarray:
    """Inverse of `pack_results`: out[M, n] of config.out."""
    if n < 1:
        raise UserError(f"n must be at least 1, not {n}")
    data = _check_rows("results", data, layout.out_row_bytes(n, config))
    return codec(config.out).decode(_fields(data, n, config.out.bits))


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
