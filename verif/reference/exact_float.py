"""The golden model's formulas for floating-point activations, in exact rational arithmetic.

Written from the contract (`mixpe.quant.golden.mpgemm`), one product after the other, on the floats of
`verif.reference.exact`; it shares nothing with NumPy's floats, nor with what the golden model is made of.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from mixpe.quant.codecs import FLOAT_TYPES
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import FP16, FP32, FloatFormat

from .exact import (
    INF,
    NAN,
    Float,
    add,
    codes,
    decode,
    encode,
    multiply,
    random_operands,
    round32,
    weight_values,
)

ZERO: Float = (0, Fraction(0))


def decode_act(code: int, form: FloatFormat) -> Float:
    """Returns the activation that `code`, a bit pattern of `form`, stands for."""
    top = form.exponent_max << form.fraction_bits
    if form.infinities or code & top != top:
        return decode(code, form)
    if form.nans and ~code & ((1 << form.fraction_bits) - 1) == 0:
        return (code >> (form.bits - 1), NAN)
    # The all-ones exponent is one like any other: twice the number with the exponent below it.
    sign, magnitude = decode(code - (1 << form.fraction_bits), form)
    return (sign, 2 * magnitude)


def integer(value: int) -> Float:
    return (int(value < 0), Fraction(abs(value)))


def signed(value: Float) -> Fraction:
    """Returns the number that a finite float is."""
    return -value[1] if value[0] else value[1]


def is_finite(value: Float) -> bool:
    return value[1] not in (INF, NAN)


def exponent(value: Float, form: FloatFormat) -> int:
    """Returns the exponent of the top bit, but at least that of the smallest normal number."""
    magnitude, least = value[1], 1 - form.bias
    # The denominator is a power of two.
    return (
        max(least, magnitude.numerator.bit_length() - magnitude.denominator.bit_length())
        if magnitude
        else least
    )


def aligned_group(acts: Sequence[Float], config: Config) -> tuple[list[int], int]:
    """Returns the integers of finite activations that share a group, and their unit's exponent."""
    power = max(exponent(a, config.act_float) for a in acts) - (config.align_bits - 2)
    limit = 2 ** (config.align_bits - 1) - 1
    unit = Fraction(2) ** power
    # Python rounds a Fraction to nearest, ties to even.
    return [max(-limit, min(limit, round(signed(a) / unit))) for a in acts], power


def special_group(acts: Sequence[Float], weights: Sequence[int], zero: int | None) -> Float:
    """`C = P - zero * S` of the infinite and NaN activations among `acts`; signed weights."""
    terms = [(w, a) for w, a in zip(weights, acts, strict=True) if not is_finite(a)]
    p = reduce(add, [multiply(integer(w), a) for w, a in terms])
    if zero is None:
        return p
    return subtract(p, multiply(integer(zero), reduce(add, [a for _, a in terms])))


def mac_group(acts: Sequence[Float], weights: Sequence[int], zero: int | None, lanes: int) -> Float:
    """`C = P - zero * S` of FP32 sums, a beat of `lanes` products after the other; signed weights."""
    p = total = ZERO
    for start in range(0, len(acts), lanes):
        beat = list(zip(weights[start : start + lanes], acts[start : start + lanes], strict=True))
        idle = [ZERO] * (lanes - len(beat))
        p = add(p, tree([multiply(integer(w), a) for w, a in beat] + idle))
        total = add(total, tree([a for _, a in beat] + idle))
    return p if zero is None else subtract(p, multiply(integer(zero), total))


def tree(terms: Sequence[Float]) -> Float:
    """Returns the FP32 sum of a power of two of terms, as a balanced tree."""
    half = len(terms) // 2
    return add(tree(terms[:half]), tree(terms[half:])) if half else terms[0]


def subtract(x: Float, y: Float) -> Float:
    """Returns the FP32 difference."""
    return add(x, (1 - y[0], y[1]))


def float_reference(a, weights: QuantizedMatrix, t, config: Config) -> np.ndarray:
    """Returns codes of the output, uint32 [M, N]; operands as `mixpe.quant.golden.mpgemm` takes them, of
    floating-point activations."""
    form = weights.format.weight.code
    # The array multiplies integers: unsigned codes lose half their range, numbers are doubled until whole.
    half = 0 if isinstance(form, FloatFormat) or form.signed else 1 << (form.bits - 1)
    values = weight_values(weights)
    unit = 1
    z = weights.groups.get("z")
    # Without zero points, those of unsigned codes are 0: -half in the array.
    subtracts = z is not None or half > 0
    if isinstance(form, FloatFormat):
        unit = 1 << (form.bias + form.fraction_bits - 1)
    scales = [[decode(int(code), FP16) for code in row] for row in codes(weights.groups["s"])]
    sums: list[list[Float | None]] = [[None] * weights.shape[1] for _ in a]
    for i, row in enumerate(codes(a)):
        for g, start in enumerate(range(0, a.shape[1], config.group)):
            group = range(start, min(start + config.group, a.shape[1]))
            acts = [decode_act(int(row[k]), config.act_float) for k in group]
            special = not all(is_finite(act) for act in acts)
            integers, power = ([], 0)
            if config.fp_scheme == "aligned" and not special:
                integers, power = aligned_group(acts, config)
            for j, y in enumerate(sums[i]):
                own = [int(values[k][j] * unit) - half for k in group]
                zero = (0 if z is None else int(z[g, j])) - half
                used = zero if subtracts else None
                if config.fp_scheme == "fp_mac":
                    c = mac_group(acts, own, used, config.lanes)
                elif special:
                    c = special_group(acts, own, used)
                else:
                    exact = sum((w - zero) * x for w, x in zip(own, integers, strict=True))
                    sign, magnitude = round32(integer(exact))
                    c = (sign, magnitude * Fraction(2) ** power)
                if is_finite(c):
                    c = (c[0], c[1] / unit)
                d = multiply(c, scales[g][j])  # one rounding
                sums[i][j] = d if y is None else add(y, d)
    out = np.empty((len(sums), weights.shape[1]), np.uint32)
    for i, row in enumerate(sums):
        for j, y in enumerate(row):
            assert y is not None
            scaled = y if t is None else multiply(y, decode(int(codes(t)[i]), FP32))
            out[i, j] = encode(scaled, config.out)
    return out


def random_acts(
    rng: np.random.Generator, form: FloatFormat, shape: tuple[int, int], specials: bool = True
) -> np.ndarray:
    """Returns activations of any bit pattern; without `specials`, finite ones."""
    below = 1 << (form.bits - 1) if specials else form.largest + 1
    magnitudes = rng.integers(0, below, shape)
    bits = magnitudes | rng.integers(0, 2, shape) << (form.bits - 1)
    dtype = FLOAT_TYPES[form.name]
    return bits.astype(f"u{dtype.itemsize}").view(dtype)


def random_float_operands(
    rng: np.random.Generator,
    config: Config,
    m: int,
    k: int,
    n: int,
    scales: str = "any",
    specials: bool = True,
) -> tuple[Any, QuantizedMatrix, Any]:
    """Returns random a, weights and t for `config`: `random_acts`, the others as in `random_operands`."""
    _, weights, t = random_operands(rng, config, m, k, n, scales)
    return random_acts(rng, config.act_float, (m, k), specials), weights, t
