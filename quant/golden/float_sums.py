"""FP32 sums of products, in the order of the hardware ("fp_mac": MixPE's W4A16, arXiv 2411.16158)."""

from collections.abc import Iterator

import numpy as np

from ..operands import Operands


class FpMacSums:
    """D of each group from FP32 sums: D = C * s * 2**e, rounded once, with e the exponent of the weights."""

    name = "fp_mac"

    def __init__(self, ops: Operands, rows: slice):
        self.ops = ops
        self.rows = rows

    def parts(self, cols: slice, _first: np.ndarray) -> Iterator[np.ndarray]:
        """Yields D of each group: float32 [rows, cols]."""
        config, weights = self.ops.config, self.ops.weights.columns(cols)
        signed, zeros = weights.signed, weights.signed_zeros
        exponent = config.matrix.weight.exponent
        for g, start in enumerate(range(0, self.ops.k, config.group)):
            k = slice(start, start + config.group)
            c = float_sums(
                self.ops.a[self.rows, k], signed[k], None if zeros is None else zeros[g], config.lanes
            )
            # Exact in float64: 24 bits times 11, any exponent of FP32.
            product = np.ldexp(c.astype(np.float64) * weights.groups["s"][g].astype(np.float64), exponent)
            yield product.astype(np.float32)


def float_sums(a: np.ndarray, q: np.ndarray, z: np.ndarray | None, lanes: int) -> np.ndarray:
    """`C = P - z*S` of one group: float32 [M, N].

    a: [M, length], a floating-point format; q: [length, N], signed integers (or FP16); z: signed [N], or
    None: C = P.

    P begins at +0, and one beat of `lanes` products is added after the other, in ascending k. The products of
    a beat, each exact (or, beyond FP32's range, infinite), are first added pairwise: with four lanes
    P + ((p_0 + p_1) + (p_2 + p_3)). Lanes beyond the group's end hold 0 * 0. S is the same sum of the
    activations alone. Every addition, z*S and the subtraction round to FP32.
    """
    pad = -a.shape[1] % lanes
    acts = np.pad(a.astype(np.float32), ((0, 0), (0, pad)))
    weights = np.pad(q.astype(np.float32), ((0, pad), (0, 0)))
    p = np.zeros((len(acts), weights.shape[1]), np.float32)
    row_sums = np.zeros(len(acts), np.float32)
    with np.errstate(all="ignore"):
        for k in range(0, acts.shape[1], lanes):
            beat = range(k, k + lanes)
            p += _tree([acts[:, i, None] * weights[i] for i in beat])
            row_sums += _tree([acts[:, i] for i in beat])
        if z is None:
            return p
        return p - z.astype(np.float32) * row_sums[:, None]


def _tree(terms: list[np.ndarray]) -> np.ndarray:
    """The sum of neighbours, then of their sums; the number of terms is a power of two."""
    while len(terms) > 1:
        terms = [left + right for left, right in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]
