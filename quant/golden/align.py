"""Alignment of floating-point activations, group by group (after FIGNA, Jang et al., HPCA 2024).

With e(a) the exponent of a's top bit, but at least that of the format's smallest normal number, and B =
`Config.align_bits`, a row's activations of one group become

    E = max over k of e(a[k])        u = 2**(E - (B - 2))        A[k] = rn(a[k] / u)

rounded to nearest, ties to even, and cut to +-(2**(B-1) - 1). Only numbers of the largest exponent go beyond
that bound, and only where B - 1 bits are fewer than the format's significand has.
"""

from dataclasses import dataclass

import numpy as np

from ...spec.array import Config


@dataclass(frozen=True)
class AlignedGroup:
    """One group of M rows: a[m, k] = integers[m, k] * 2**unit[m], rounded.

    integers: int64 [M, length], 0 in rows that are `special`. unit: int64 [M]. special: bool [M], rows that
    hold an infinity or NaN.
    """

    integers: np.ndarray
    unit: np.ndarray
    special: np.ndarray


def align(a: np.ndarray, config: Config) -> AlignedGroup:
    """Aligns a[M, length] of `config.act_float`, one group."""
    form, bits = config.act_float, config.align_bits
    with np.errstate(invalid="ignore"):  # signalling NaN
        values = a.astype(np.float64)
    special = np.logical_not(np.isfinite(values).all(axis=1))
    values[special] = 0
    # frexp's fraction is below 1; that of zero has exponent 0.
    exponents = np.where(values == 0, 1 - form.bias, np.frexp(values)[1] - 1)
    unit = np.maximum(exponents, 1 - form.bias).max(axis=1).astype(np.int64) - (bits - 2)
    limit = (1 << (bits - 1)) - 1
    integers = np.clip(np.rint(np.ldexp(values, -unit[:, None])), -limit, limit).astype(np.int64)
    return AlignedGroup(integers, unit, special)


def special_sums(a: np.ndarray, q: np.ndarray, z: np.ndarray | None) -> np.ndarray:
    """What IEEE 754 makes of `C = P - z*S` in rows with infinities or NaN: float32 [M, N].

    a: [M, length], every row with at least one; q: signed [length, N]; z: signed [N], or None.
    """
    a = a.astype(np.float32)
    plus, minus, nan = np.isposinf(a), np.isneginf(a), np.asarray(np.isnan(a).any(axis=1))
    up, down, none = ((sign > 0).astype(np.float32) for sign in (q > 0, q < 0, q == 0))
    both = (plus | minus).astype(np.float32) @ none > 0
    positive = both | ((plus.astype(np.float32) @ up + minus.astype(np.float32) @ down) > 0)
    negative = both | ((plus.astype(np.float32) @ down + minus.astype(np.float32) @ up) > 0)
    sums = np.where(positive, np.float32(np.inf), np.float32(-np.inf))
    sums[(positive & negative) | nan[:, None]] = np.nan
    if z is None:
        return sums
    with np.errstate(invalid="ignore"):
        row_sums = np.where(np.isfinite(a), 0, a).sum(axis=1, dtype=np.float32)
        return sums - z.astype(np.float32) * row_sums[:, None]
