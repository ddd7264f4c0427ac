"""The golden model: what the hardware must compute, bit for bit.

The arithmetic is that of MixPE (Zhang et al. 2024, arXiv 2411.16158): the scale and zero point of a group of
weights are applied to the group's sum. With fl32 the rounding to FP32 (to nearest, ties to even) and every
FP32 operation rounded the same way, C[m,n,g] the sum over k in group g of (q[k,n] - z[g,n]) * a[m,k]:

    D[m,n,g] = fl32(fl32(C[m,n,g]) * s[g,n])
    Y[m,n]   = (..((D_0 + D_1) + D_2)..)                               in ascending group order
    out[m,n] = cast(Y[m,n] * t[m])

Integer activations: C is exact, P - z*S of the hardware.

Aligned activations (`mixpe.quant.golden.align`): C is the exact sum of (q - z) * A, and the unit u of the
group enters with the scale, D = fl32(fl32(C) * s * u). A row with infinities or NaN in a group has there what
IEEE 754 makes of P - z*S from its infinite terms.

Activations multiplied as they are ("fp_mac"): P and S are FP32 sums, of exact products and of activations, in
ascending k, and C = P - fl32(z*S) in FP32 (`mixpe.quant.golden.float_sums`).

There, and for infinities, q and z are the signed ones of the array: unsigned codes less 2**(weight_bits-1),
and a zero point that is not there likewise. For integers that makes no difference.

The exact sum runs at BLAS speed. Every partial sum of a group, in whatever order, with or without fused
multiply-adds, is an integer of magnitude at most length * max|q - z| * max|a|. Up to 2**24 float32 holds
all of them exactly (W4A8 over 128: 2**17; W8A8 over 128: 2**21; W8A8 over 1024: 2**24), up to 2**53 float64.
Wider aligned integers (at most 2**40 * 255 * 2**14 < 2**62) are cut into two halves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...spec.array import Config
from ...spec.formats.numbers import FP32
from ..operands import Operands, check_operands, float_dtype, signed_codes
from .align import align, special_sums
from .blas import run
from .float_sums import float_sums

# A tile of C and Y (512 KiB each in float32) and its weights stay in the cache of a core.
_TILE_ROWS = 256
_TILE_COLS = 512

_HALF_BITS = 20
"""Of an integer too wide for float64's sums, the bits of its lower half."""


def mpgemm(a: Any, q: Any, s: Any, z: Any = None, *, config: Config, t: Any = None) -> np.ndarray:
    """Multiply activations by group-quantized weights.

    Parameters
    ----------
    a: [M, K] of config.act_code: any integer dtype, or the format's: float16, ml_dtypes' bfloat16,
        float8_e4m3fn or float8_e5m2; infinities and NaN are legal.
    q: [K, N], any integer dtype, weight codes of config.weight_code (signed or unsigned).
    s: [G, N] float16 with G = ceil(K / config.group); infinities and NaN are legal.
    z: [G, N], any integer dtype, values of config.weight_code; exactly when config.zero_point.
    t: [M] float32; exactly when config.token_scale.

    Returns out[M, N] of config.out: float32, float16 or ml_dtypes.bfloat16. Subnormals are kept, and every
    NaN is the format's canonical quiet one.

    Raises `UserError` that names the operand, its value or shape and what is allowed; M, K, N are at least 1.
    """
    ops = check_operands(a, q, s, z, t, config)
    out = np.empty((ops.m, ops.n), float_dtype(config.out))
    for row in range(0, ops.m, _TILE_ROWS):
        rows = slice(row, min(row + _TILE_ROWS, ops.m))
        groups = [] if config.scheme == "fp_mac" else [_group(ops, rows, k) for k in _starts(ops)]

        def tile(cols: slice, rows: slice = rows, groups: list["_Group"] = groups) -> None:
            with np.errstate(all="ignore"):  # a setting of each thread
                y = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.float32)
                parts = _integer_parts(ops, groups, cols, y) if groups else _float_parts(ops, rows, cols)
                for g, d in enumerate(parts):
                    if g:
                        np.add(y, d, out=y)
                    elif d is not y:
                        y[...] = d
                if ops.t is not None:
                    np.multiply(y, ops.t[rows, None], out=y)
                out[rows, cols] = y

        run(tile, [slice(col, min(col + _TILE_COLS, ops.n)) for col in range(0, ops.n, _TILE_COLS)])
    nan = np.isnan(out)
    if nan.any():
        out.view(f"u{config.out.bits // 8}")[nan] = config.out.nan
    return out


def exact_dtype(length: int, weight_magnitude: int, act_magnitude: int) -> np.dtype | None:
    """The type in which the dot product of `length` integers is exact: float32, float64 or None."""
    bound = length * weight_magnitude * act_magnitude
    if bound > 1 << 53:
        return None
    return np.dtype(np.float32 if bound <= 1 << FP32.significand_bits else np.float64)


@dataclass(frozen=True)
class _Group:
    """Activations of some rows in one group, ready to be multiplied.

    pieces: [rows, length + 1] in a type in which sums are exact: the integers, or their upper and lower
    halves. The last column is 1 and meets a row of +0 weights, so that a sum of zeros is +0 whatever the
    signs of its products: fl32(0) is +0, and BLAS alone does not promise it.
    unit: of aligned integers, the exponent of their unit [rows]; special: rows of `a` that need it, and a.
    """

    start: int
    length: int
    pieces: tuple[np.ndarray, ...]
    unit: np.ndarray | None = None
    special: tuple[np.ndarray, np.ndarray] | None = None


def _starts(ops: Operands) -> range:
    return range(0, ops.k, ops.config.group)


def _group(ops: Operands, rows: slice, start: int) -> _Group:
    a = ops.a[rows, start : start + ops.config.group]
    length = a.shape[1]
    if ops.config.scheme == "integer":
        return _Group(start, length, _pieces(a, ops))
    aligned = align(a, ops.config)
    special = (np.flatnonzero(aligned.special), a[aligned.special]) if aligned.special.any() else None
    return _Group(start, length, _pieces(aligned.integers, ops), aligned.unit, special)


def _pieces(integers: np.ndarray, ops: Operands) -> tuple[np.ndarray, ...]:
    dtype = exact_dtype(integers.shape[1], ops.weight_magnitude, ops.act_magnitude)
    if dtype:
        return (_with_one(integers, dtype),)
    low = integers & ((1 << _HALF_BITS) - 1)
    halves = (integers >> _HALF_BITS, low)
    return tuple(_with_one(half, np.dtype(np.float64)) for half in halves)


def _with_one(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    piece = np.ones((integers.shape[0], integers.shape[1] + 1), dtype)
    piece[:, :-1] = integers
    return piece


def _integer_parts(
    ops: Operands, groups: list[_Group], cols: slice, first: np.ndarray
) -> Iterator[np.ndarray]:
    """D of each group: float32 [rows, cols], the first in `first`, valid until the next."""
    scales = ops.s[:, cols].astype(np.float32)
    d = np.empty_like(first)
    w, c = np.empty(0), np.empty(0)
    for g, group in enumerate(groups):
        dtype, to = group.pieces[0].dtype, d if g else first
        if w.shape[0] != group.length + 1 or w.dtype != dtype:
            w = np.zeros((group.length + 1, first.shape[1]), dtype)
            c = d if dtype == np.float32 else np.empty(first.shape, dtype)
        w[: group.length] = ops.q[group.start : group.start + group.length, cols]
        if ops.z is not None:
            w[: group.length] -= ops.z[g, cols]
        if len(group.pieces) == 1:
            np.matmul(group.pieces[0], w, out=c)
            if c is not d:
                d[...] = c  # fl32: the one rounding of an exact integer
        else:
            high, low = ((piece @ w).astype(np.int64) for piece in group.pieces)
            d[...] = (high << _HALF_BITS) + low
        if group.unit is None:
            np.multiply(d, scales[g], out=to)
        else:
            # Exact in float64: 24 bits times 11, any exponent.
            to[...] = np.ldexp(d * scales[g].astype(np.float64), group.unit[:, None])
            _mend(ops, group, g, cols, scales[g], to)
        yield to


def _mend(ops: Operands, group: _Group, g: int, cols: slice, scales: np.ndarray, d: np.ndarray) -> None:
    """Puts in place the rows of D with infinities or NaN."""
    if group.special is None:
        return
    rows, a = group.special
    q = signed_codes(ops.q[group.start : group.start + group.length, cols], ops.config)
    d[rows] = special_sums(a, q, _zeros(ops, g, cols)) * scales


def _float_parts(ops: Operands, rows: slice, cols: slice) -> Iterator[np.ndarray]:
    """D of each group, from FP32 sums of products."""
    lanes = ops.config.lanes
    for g, start in enumerate(_starts(ops)):
        k = slice(start, start + ops.config.group)
        q = signed_codes(ops.q[k, cols], ops.config)
        c = float_sums(ops.a[rows, k], q, _zeros(ops, g, cols), lanes)
        yield c * ops.s[g, cols].astype(np.float32)


def _zeros(ops: Operands, g: int, cols: slice) -> np.ndarray | None:
    """Zero points of a group inside the array: signed [N], or None where there are none."""
    if not ops.config.has_row_sum:
        return None
    z = np.zeros(cols.stop - cols.start, np.int64) if ops.z is None else ops.z[g, cols]
    return signed_codes(z, ops.config)
