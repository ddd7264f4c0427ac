"""D of each group where sums are exact integers: integer activations, and aligned ones.

The exact sum runs at BLAS speed. Every partial sum of a group, in whatever order, with or without fused
multiply-adds, is an integer of magnitude at most length * max|q - z| * max|a|. Up to 2**24 float32 holds
all of them exactly (W4A8 over 128: 2**17; W8A8 over 128: 2**21; W8A8 over 1024: 2**24), up to 2**53 float64.
Wider aligned integers (at most 2**40 * 255 * 2**14 < 2**62) are cut into two halves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...spec.formats.numbers import FP32
from ..operands import Operands
from .align import align, special_sums

_HALF_BITS = 20
"""Bits of the lower half of an integer that is too wide for float64's sums."""


def exact_dtype(length: int, weight_magnitude: int, act_magnitude: int) -> np.dtype | None:
    """Returns the type in which the dot product of `length` integers is exact: float32, float64 or None."""
    bound = length * weight_magnitude * act_magnitude
    if bound > 1 << 53:
        return None
    return np.dtype(np.float32 if bound <= 1 << FP32.significand_bits else np.float64)


@dataclass(frozen=True)
class Group:
    """Activations of some rows in one group, ready to be multiplied.

    pieces: [rows, length + 1] in a type in which sums are exact: the integers, or their upper and lower
    halves. The last column is 1 and meets a row of +0 weights, so that a sum of zeros is +0 whatever the
    signs of its products: fl32(0) is +0, and BLAS alone does not promise it.
    unit: of aligned integers, the exponent of their unit [rows]. special: rows of `a` that hold infinities or
    NaN, and a; None if there are none.
    """

    start: int
    length: int
    pieces: tuple[np.ndarray, ...]
    unit: np.ndarray | None = None
    special: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def rows_of_weights(self) -> slice:
        """The group's part of K."""
        return slice(self.start, self.start + self.length)


class IntegerSums:
    """Integer activations: D = fl32(C) * s * 2**e, with e the exponent of the weight format."""

    name = "integer"

    def __init__(self, ops: Operands, rows: slice):
        self.ops = ops
        group = ops.config.group
        self.groups = [self._group(ops.a[rows, k : k + group], k) for k in range(0, ops.k, group)]

    def _group(self, a: np.ndarray, start: int) -> Group:
        low, high = (int(pick(a)) for pick in (np.min, np.max))
        return Group(start, a.shape[1], self._pieces(a, max(-low, high, 0)))

    def _pieces(self, integers: np.ndarray, magnitude: int) -> tuple[np.ndarray, ...]:
        dtype = exact_dtype(integers.shape[1], self.ops.weights.magnitude, magnitude)
        if dtype:
            return (_with_one(integers, dtype),)
        halves = (integers >> _HALF_BITS, integers & ((1 << _HALF_BITS) - 1))
        return tuple(_with_one(half, np.dtype(np.float64)) for half in halves)

    def parts(self, cols: slice, first: np.ndarray) -> Iterator[np.ndarray]:
        """Yields D of each group: float32 [rows, cols], the first in `first`, valid until the next."""
        weights = self.ops.weights
        integers, zeros = weights.integers, weights.zeros
        scales = weights.groups["s"][:, cols].astype(np.float32)
        plain = not self.ops.config.matrix.weight.exponent
        d = np.empty_like(first)
        w, c = np.empty(0), np.empty(0)
        for g, group in enumerate(self.groups):
            dtype, to = group.pieces[0].dtype, d if g else first
            if w.shape[0] != group.length + 1 or w.dtype != dtype:
                w = np.zeros((group.length + 1, first.shape[1]), dtype)
                c = d if dtype == np.float32 else np.empty(first.shape, dtype)
            w[: group.length] = integers[group.rows_of_weights, cols]
            if zeros is not None:
                w[: group.length] -= zeros[g, cols]
            if len(group.pieces) == 1:
                np.matmul(group.pieces[0], w, out=c)
                if c is not d:
                    d[...] = c  # fl32: the one rounding of an exact integer
            else:
                high, low = ((piece @ w).astype(np.int64) for piece in group.pieces)
                d[...] = (high << _HALF_BITS) + low
            unit = self.ops.config.matrix.weight.exponent
            if group.unit is not None:
                unit = unit + group.unit[:, None]
            if plain and group.unit is None:
                np.multiply(d, scales[g], out=to)
            else:
                # Exact in float64: 24 bits times 11, any exponent.
                to[...] = np.ldexp(d * scales[g].astype(np.float64), unit)
            self._mend(group, g, cols, scales[g], to)
            yield to

    def _mend(self, group: Group, g: int, cols: slice, scales: np.ndarray, d: np.ndarray) -> None:
        """Puts in place the rows of D with infinities or NaN."""
        if group.special is None:
            return
        rows, a = group.special
        weights = self.ops.weights.columns(cols)
        zeros = weights.signed_zeros
        q = weights.signed[group.rows_of_weights]
        d[rows] = special_sums(a, q, None if zeros is None else zeros[g]) * scales


class AlignedSums(IntegerSums):
    """Aligned activations: D = fl32(C) * s * 2**e * u, with u the unit of the row's group.

    A row with infinities or NaN in a group has there what IEEE 754 makes of P - z*S from its infinite terms.
    """

    name = "aligned"

    def _group(self, a: np.ndarray, start: int) -> Group:
        config = self.ops.config
        aligned = align(a, config)
        special = (np.flatnonzero(aligned.special), a[aligned.special]) if aligned.special.any() else None
        pieces = self._pieces(aligned.integers, config.act_limits[1])
        return Group(start, a.shape[1], pieces, aligned.unit, special)


def _with_one(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    piece = np.ones((integers.shape[0], integers.shape[1] + 1), dtype)
    piece[:, :-1] = integers
    return piece
