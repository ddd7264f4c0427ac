"""The golden model: what the hardware must compute, bit for bit.

The arithmetic is that of MixPE (Zhang et al. 2024, arXiv 2411.16158): the scale and zero point of a group of
weights are applied to the group's sum. With fl32 the rounding to FP32 (to nearest, ties to even) and every
FP32 operation rounded the same way, C[m,n,g] the sum over k in group g of (q[k,n] - z[g,n]) * a[m,k]:

    D[m,n,g] = fl32(fl32(C[m,n,g]) * s[g,n])
    Y[m,n]   = (..((D_0 + D_1) + D_2)..)                               in ascending group order
    out[m,n] = cast(Y[m,n] * t[m])

Each activation scheme has its own C and D (`mixpe.quant.golden.integer_sums`, `float_sums`). In fp_mac, and
for infinities, q and z are the signed ones of the array: unsigned codes less 2**(weight_bits-1), and minus
that constant in place of a zero point where there is none. For integers that makes no difference. In
floating-point weight formats q is the integer that the array multiplies, and D has the factor 2**exponent.
"""

from typing import Any

import numpy as np

from ...spec.array import Config
from ..codecs import codec
from ..operands import check_operands
from .blas import run
from .float_sums import FpMacSums
from .integer_sums import AlignedSums, IntegerSums

# A tile of C and Y (512 KiB each in float32) and its weights stay in the cache of a core.
_TILE_ROWS = 256
_TILE_COLS = 512

SUMS: dict[str, type[IntegerSums] | type[FpMacSums]] = {
    each.name: each for each in (IntegerSums, AlignedSums, FpMacSums)
}
"""How each activation scheme makes D, by the scheme's name."""


def mpgemm(a: Any, weights: Any, *, config: Config, t: Any = None) -> np.ndarray:
    """Multiplies activations by group-quantized weights.

    Parameters
    ----------
    a: [M, K] of config.act_code: any integer dtype, or the format's own (NumPy's or that of `ml_dtypes`);
        infinities and NaN are legal where the format has them.
    weights: a `mixpe.quant.matrix.QuantizedMatrix` [K, N] of config.matrix.
    t: [M] float32; exactly when config.token_scale.

    Returns out[M, N] of config.out: float32, float16 or ml_dtypes.bfloat16. Subnormals are kept, and every
    NaN is the format's canonical quiet one.

    Raises `UserError` that names the operand, its value or shape and what is allowed; M, K, N are at least 1.
    """
    ops = check_operands(a, weights, t, config)
    out = np.empty((ops.m, ops.n), codec(config.out).dtype)
    for row in range(0, ops.m, _TILE_ROWS):
        rows = slice(row, min(row + _TILE_ROWS, ops.m))
        with np.errstate(all="ignore"):
            sums = SUMS[config.scheme.name](ops, rows)

        def tile(cols: slice, rows: slice = rows, sums: IntegerSums | FpMacSums = sums) -> None:
            with np.errstate(all="ignore"):  # a setting of each thread
                y = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.float32)
                for g, d in enumerate(sums.parts(cols, y)):
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
        codec(config.out).encode(out)[nan] = config.out.nan
    return out
