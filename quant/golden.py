"""The golden model: what the hardware must compute, bit for bit.

The arithmetic is that of MixPE (Zhang et al. 2024, arXiv 2411.16158): the scale and zero point of a group of
weights are applied to the group's exact integer sum. With fl32 the rounding of an integer to FP32
(to nearest, ties to even) and every FP32 operation rounded the same way:

    C[m,n,g] = sum over k in group g of (q[k,n] - z[g,n]) * a[m,k]     exact: P - z*S of the hardware
    D[m,n,g] = fl32(C[m,n,g]) * fl32(s[g,n])
    Y[m,n]   = (..((D_0 + D_1) + D_2)..)                               in ascending group order
    out[m,n] = cast(Y[m,n] * t[m])

The exact sum runs at BLAS speed. Every partial sum of a group, in whatever order, with or without fused
multiply-adds, is an integer of magnitude at most length * max|q - z| * max|a|. Up to 2**24 float32 holds
all of them exactly (W4A8 over 128: 2**17; W8A8 over 128: 2**21; W8A8 over 1024: 2**24). Beyond that (W4A16
over 128: 2**25) the product runs in float64, whose 2**53 no legal configuration reaches:
16384 * 255 * 2**15 < 2**37.
"""

from typing import Any

import numpy as np

from ..hw.config import Config
from ..hw.formats import FP32
from .blas import run
from .operands import Operands, check_operands, float_dtype

# A tile of C and Y (512 KiB each in float32) and its weights stay in the cache of a core.
_TILE_ROWS = 256
_TILE_COLS = 512


def mpgemm(a: Any, q: Any, s: Any, z: Any = None, *, config: Config, t: Any = None) -> np.ndarray:
    """Multiply integer activations by group-quantized weights.

    Parameters
    ----------
    a: [M, K], any integer dtype, values of config.act.
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
        acts = _group_acts(ops, rows)

        def tile(cols: slice, rows: slice = rows, acts: list[np.ndarray] = acts) -> None:
            with np.errstate(all="ignore"):  # a setting of each thread
                y = _accumulate(ops, acts, cols)
                if ops.t is not None:
                    np.multiply(y, ops.t[rows, None], out=y)
                out[rows, cols] = y

        run(tile, [slice(col, min(col + _TILE_COLS, ops.n)) for col in range(0, ops.n, _TILE_COLS)])
    nan = np.isnan(out)
    if nan.any():
        out.view(f"u{config.out.bits // 8}")[nan] = config.out.nan
    return out


def exact_dtype(length: int, weight_magnitude: int, act_magnitude: int) -> np.dtype:
    """The type in which the dot product of `length` integers is exact: float32 or float64."""
    bound = length * weight_magnitude * act_magnitude
    return np.dtype(np.float32 if bound <= 1 << FP32.significand_bits else np.float64)


def _group_acts(ops: Operands, rows: slice) -> list[np.ndarray]:
    """Activations of each group, [rows, length + 1], in the type in which the group is exact.

    The last column is 1 and meets a row of +0 weights, so that a sum of zeros is +0 whatever the
    signs of its products: fl32(0) is +0, and BLAS alone does not promise it.
    """
    size, parts = ops.config.group, []
    for k in range(0, ops.k, size):
        a = ops.a[rows, k : k + size]
        dtype = exact_dtype(a.shape[1], ops.weight_magnitude, ops.act_magnitude)
        part = np.ones((a.shape[0], a.shape[1] + 1), dtype)
        part[:, :-1] = a
        parts.append(part)
    return parts


def _accumulate(ops: Operands, acts: list[np.ndarray], cols: slice) -> np.ndarray:
    """Y of one tile: float32 [rows, cols]."""
    size = ops.config.group
    shape = (acts[0].shape[0], cols.stop - cols.start)
    scales = ops.s[:, cols].astype(np.float32)
    y, d = np.empty(shape, np.float32), np.empty(shape, np.float32)
    w, c = np.empty(0), np.empty(0)
    for g, act in enumerate(acts):
        length = act.shape[1] - 1
        if w.shape[0] != length + 1 or w.dtype != act.dtype:
            w = np.zeros((length + 1, shape[1]), act.dtype)
            c = d if act.dtype == np.float32 else np.empty(shape, act.dtype)
        w[:length] = ops.q[g * size : g * size + length, cols]
        if ops.z is not None:
            w[:length] -= ops.z[g, cols]
        np.matmul(act, w, out=c)
        if c is not d:
            d[...] = c  # fl32: the one rounding of an exact integer
        np.multiply(d, scales[g], out=d if g else y)
        if g:
            np.add(y, d, out=y)
    return y
